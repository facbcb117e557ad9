"""What the client knows of its chat: frames go in, what to show or ask for comes out. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from parley.client import texts
from parley.client.actions import Action, Cancel, End, Line, Resume, Send, Stream, Style
from parley.client.frames import Frame, Message
from parley.client.pending import Pending, Request
from parley.client.reply import Reply


class _Stop(Enum):
    """Whether the user wants the running reply to end."""

    NO = auto()
    WANTED = auto()
    ASKED = auto()


class Transcript:
    """The chat as this client has seen it, and what it still waits for."""

    def __init__(self, *, costs: bool = False) -> None:
        self.chat_id: str | None = None
        self.oldest: str | None = None
        """The first message that was shown: `/history` loads what came before it."""
        self.reply: Reply | None = None
        self._costs = costs
        self._pending = Pending()
        self._waits_for: str | None = None
        self._away = False
        self._replying = False
        self._resuming = False
        self._stop = _Stop.NO
        self._last_role: str | None = None
        self._seen: set[str] = set()
        self._takers: dict[str, Callable[[Frame], list[Action]]] = {
            "chat_created": self._chat_created,
            "chat_joined": self._chat_joined,
            "history": self._history,
            "chat_updated": self._chat_updated,
            "chat_deleted": self._chat_deleted,
            "user_message": self._user_message,
            "assistant_message_start": self._start,
            "assistant_message_token": self._token,
            "assistant_message_complete": self._complete,
            "error": self._error,
        }

    @property
    def request(self) -> Request | None:
        """What is to be answered before anything else is asked."""
        return self._pending.request

    @property
    def busy(self) -> bool:
        """Whether something is still to come: an answer to a request, or a reply."""
        return bool(self._pending) or self._replying or self.reply is not None

    @property
    def replying(self) -> bool:
        """Whether a reply runs, or has been asked for."""
        return self._replying or self.reply is not None or self._pending.asks_for_a_reply

    @property
    def stopping(self) -> bool:
        """Whether the running reply is to end."""
        return self._stop is not _Stop.NO

    def ask(self, frame: Frame, answer: str) -> None:
        """Note that `frame` is being sent, and what kind of frame answers it."""
        self._pending.ask(frame, answer)
        self._stop = _Stop.NO

    def stop(self) -> list[Action]:
        """Have the reply end that runs or has been asked for: at once, or as soon as the server knows of it."""
        if self.replying:
            self._stop = _Stop.WANTED
        return self._cancel()

    def retry(self) -> list[Action]:
        """Send a message again that was refused as busy, unless the end of a reply is still to come."""
        return [] if self.reply or self._replying else self._release()

    def lost(self) -> None:
        """Note that the connection is gone. A message is sent again on the next one, other requests are dropped."""
        self._pending.lost()
        self._away = True
        self._resuming = False
        if self.stopping:
            self._stop = _Stop.WANTED

    def back(self) -> list[Action]:
        """Note that the chat has been joined again, on a new connection."""
        self._away = False
        return self._cancel()

    def take(self, frame: Frame) -> list[Action]:
        """Take a frame from the server. Raise FrameError where it breaks the protocol; unknown kinds are ignored."""
        taker = self._takers.get(frame.kind)
        actions = taker(frame) if taker else []
        self._pending.answered(frame)
        return actions + self._cancel()

    def _cancel(self) -> list[Action]:
        known = self.reply is not None or self._replying or self._pending.held is not None
        if self._stop is not _Stop.WANTED or not known or self._away:
            return []
        self._stop = _Stop.ASKED
        return [Cancel(self.reply.message_id if self.reply else None)]

    def _release(self) -> list[Action]:
        frame = self._pending.release()
        return [Send(frame)] if frame else []

    def _ended(self) -> None:
        self.reply, self._replying, self._stop = None, False, _Stop.NO

    def _enter(self, chat_id: str) -> None:
        self.chat_id = chat_id
        self.oldest = self._last_role = None
        self._ended()
        self._seen.clear()

    def _chat_created(self, frame: Frame) -> list[Action]:
        self._enter(frame.text("chatId"))
        return [Line(f"{frame.text('title')} · chat {self.chat_id}")]

    def _chat_joined(self, frame: Frame) -> list[Action]:
        actions: list[Action] = []
        if frame.text("chatId") != self.chat_id:
            self._enter(frame.text("chatId"))
            actions.append(Line(f"{frame.text('title')} · chat {self.chat_id}"))
        for message in frame.messages():
            actions += self._missed(message)
        if "reply" not in frame.data and self._last_role == "assistant":
            self._ended()
        return actions

    def _missed(self, message: Message) -> list[Action]:
        """Show a message of the joined chat, if it is new here, or the rest of it, if it is the running reply."""
        if message.id in self._seen:
            return []
        self._see(message.id, message.role)
        if self.reply and message.id == self.reply.message_id:
            actions = self._whole(self.reply, self.reply.attempt, message.content)
            self.reply = None
            return actions
        return [texts.message(message)]

    def _history(self, frame: Frame) -> list[Action]:
        messages = frame.messages()
        if frame.text("chatId") != self.chat_id:
            return []
        if not messages:
            return [Line("There are no earlier messages.")]
        self.oldest = messages[0].id
        self._seen.update(message.id for message in messages)
        return [texts.message(message) for message in messages]

    def _chat_updated(self, frame: Frame) -> list[Action]:
        return [Line(f"Title: {frame.text('title')}")] if frame.text("chatId") == self.chat_id else []

    def _chat_deleted(self, frame: Frame) -> list[Action]:
        if frame.text("chatId") != self.chat_id:
            return []
        self._pending.clear()
        self._ended()
        return [Line("This chat was deleted. `/new` starts another one.", Style.ERROR)]

    def _user_message(self, frame: Frame) -> list[Action]:
        if frame.text("chatId") != self.chat_id:
            return []
        message = Message(frame.text("messageId"), "user", frame.text("content"))
        own = self._pending.is_own(frame.optional("clientMessageId"))
        known = message.id in self._seen
        if own:  # sent again after a loss, it may have been answered meanwhile
            answered = known and self.reply is None and self._last_role == "assistant"
            self._replying = not answered
        if known or (not own and frame.data.get("duplicate") is True):
            return []
        self._see(message.id, "user")
        return [] if own else [texts.message(message)]

    def _start(self, frame: Frame) -> list[Action]:
        if frame.text("chatId") != self.chat_id or frame.text("messageId") in self._seen:
            return []
        self._resuming = False
        actions: list[Action] = []
        if self.reply is None or self.reply.message_id != frame.text("messageId"):
            if self.reply or "replaces" in frame.data:
                actions.append(Line("The reply is written anew."))
            self.reply = Reply(frame.text("messageId"), frame.number("attempt"))
        return actions + self._piece(self.reply, frame, "content")

    def _token(self, frame: Frame) -> list[Action]:
        if self.reply is None or self.reply.message_id != frame.text("messageId"):
            return []
        return self._piece(self.reply, frame, "token")

    def _piece(self, reply: Reply, frame: Frame, name: str) -> list[Action]:
        taken = reply.take(frame.number("attempt"), frame.number("offset"), frame.text(name))
        actions: list[Action] = [Line("The reply starts over.")] if taken.restarted else []
        if taken.missing and not self._resuming:
            self._resuming = True
            actions.append(Resume())
        return [*actions, Stream(taken.text)] if taken.text else actions

    def _complete(self, frame: Frame) -> list[Action]:
        message_id, attempt = frame.text("messageId"), frame.number("attempt")
        if frame.text("chatId") != self.chat_id or message_id in self._seen:
            return []
        reply = self.reply
        if reply is None or reply.message_id != message_id:
            reply = Reply(message_id, attempt)
        self._ended()
        self._see(message_id, "assistant")
        actions = self._whole(reply, attempt, frame.optional("content"))
        reason = frame.text("finishReason")
        if reason != "stop":
            actions.append(Line(f"The reply ended early: {reason}."))
        if self._costs:
            actions += texts.cost(frame)
        return actions + self._release()

    def _whole(self, reply: Reply, attempt: int, content: str | None) -> list[Action]:
        """Show what is missing of a reply whose whole text is `content`, or too large to be sent again."""
        if content is None:
            return [End()]
        if attempt > reply.attempt or not content.startswith(reply.text):
            return [Line("The reply starts over."), Stream(content), End()]
        rest = reply.take(attempt, 0, content).text
        return [Stream(rest), End()] if rest else [End()]

    def _error(self, frame: Frame) -> list[Action]:
        refused = self._pending.refused(frame)
        if refused and refused.frame.kind == "message" and frame.optional("code") == "busy":
            return self._hold(refused)
        if refused or frame.optional("code") == "nothing_to_cancel":
            self._stop = _Stop.NO
        return [texts.refusal(frame)]

    def _hold(self, refused: Request) -> list[Action]:
        """Keep a message until the running reply is complete, and say so once."""
        self._pending.held = refused
        self._stop = _Stop.NO  # what was to stop has not begun; what runs may be somebody else's
        name = refused.frame.text("clientMessageId")
        known, self._waits_for = self._waits_for, name
        return [] if known == name else [Line(texts.WAITS)]

    def _see(self, message_id: str, role: str) -> None:
        self._seen.add(message_id)
        self._last_role = role
        self.oldest = self.oldest or message_id
