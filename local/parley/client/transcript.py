"""What the client knows of its chat: frames go in, what to show or ask for comes out. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from parley.client import texts
from parley.client.actions import Action, Cancel, End, Line, Resume, Send, Stream, Style
from parley.client.frames import Frame, StoredMessage
from parley.client.pending import Pending, PendingRequest
from parley.client.reply import Reply


class _Stop(Enum):
    """Whether the user wants the running reply to end."""

    NO = auto()
    REQUESTED = auto()
    SENT = auto()


class Transcript:
    """The chat as this client has seen it, and what it still waits for."""

    def __init__(self, *, costs: bool = False) -> None:
        self.chat_id: str | None = None
        self.oldest: str | None = None
        """The first message that was shown: `/history` loads what came before it."""
        self.reply: Reply | None = None
        self._costs = costs
        self._pending = Pending()
        self._held_id: str | None = None
        self._offline = False
        self._replying = False
        self._resuming = False
        self._stop = _Stop.NO
        self._last_role: str | None = None
        self._shown: set[str] = set()
        self._handlers: dict[str, Callable[[Frame], list[Action]]] = {
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
    def request(self) -> PendingRequest | None:
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
            self._stop = _Stop.REQUESTED
        return self._cancel()

    def retry(self) -> list[Action]:
        """Send a message again that was refused as busy, unless the end of a reply is still to come."""
        return [] if self.reply or self._replying else self._send_held()

    def disconnected(self) -> None:
        """Note that the connection is gone. A message is sent again on the next one, other requests are dropped."""
        self._pending.lost()
        self._offline = True
        self._resuming = False
        if self.stopping:
            self._stop = _Stop.REQUESTED

    def rejoined(self) -> list[Action]:
        """Note that the chat has been joined again, on a new connection."""
        self._offline = False
        return self._cancel()

    def take(self, frame: Frame) -> list[Action]:
        """Take a frame from the server. Raise FrameError where it breaks the protocol; unknown kinds are ignored."""
        handler = self._handlers.get(frame.kind)
        actions = handler(frame) if handler else []
        self._pending.answered(frame)
        return actions + self._cancel()

    def _cancel(self) -> list[Action]:
        known = self.reply is not None or self._replying or self._pending.held is not None
        if self._stop is not _Stop.REQUESTED or not known or self._offline:
            return []
        self._stop = _Stop.SENT
        return [Cancel(self.reply.message_id if self.reply else None)]

    def _send_held(self) -> list[Action]:
        frame = self._pending.release()
        return [Send(frame)] if frame else []

    def _end_reply(self) -> None:
        self.reply, self._replying, self._stop = None, False, _Stop.NO

    def _open_chat(self, chat_id: str) -> None:
        self.chat_id = chat_id
        self.oldest = self._last_role = None
        self._end_reply()
        self._shown.clear()

    def _chat_created(self, frame: Frame) -> list[Action]:
        self._open_chat(frame.text("chatId"))
        return [Line(f"{frame.text('title')} · chat {self.chat_id}")]

    def _chat_joined(self, frame: Frame) -> list[Action]:
        actions: list[Action] = []
        if frame.text("chatId") != self.chat_id:
            self._open_chat(frame.text("chatId"))
            actions.append(Line(f"{frame.text('title')} · chat {self.chat_id}"))
        for message in frame.messages():
            actions += self._show_missed(message)
        if "reply" not in frame.data and self._last_role == "assistant":
            self._end_reply()
        return actions

    def _show_missed(self, message: StoredMessage) -> list[Action]:
        """Show a message of the joined chat, if it is new here, or the rest of it, if it is the running reply."""
        if message.id in self._shown:
            return []
        self._mark_shown(message.id, message.role)
        if self.reply and message.id == self.reply.message_id:
            actions = self._show_complete(self.reply, self.reply.attempt, message.content)
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
        self._shown.update(message.id for message in messages)
        return [texts.message(message) for message in messages]

    def _chat_updated(self, frame: Frame) -> list[Action]:
        return [Line(f"Title: {frame.text('title')}")] if frame.text("chatId") == self.chat_id else []

    def _chat_deleted(self, frame: Frame) -> list[Action]:
        if frame.text("chatId") != self.chat_id:
            return []
        self._pending.clear()
        self._end_reply()
        return [Line("This chat was deleted. `/new` starts another one.", Style.ERROR)]

    def _user_message(self, frame: Frame) -> list[Action]:
        if frame.text("chatId") != self.chat_id:
            return []
        message = StoredMessage(frame.text("messageId"), "user", frame.text("content"))
        own = self._pending.is_own(frame.optional("clientMessageId"))
        known = message.id in self._shown
        if own:  # sent again after a loss, it may have been answered meanwhile
            answered = known and self.reply is None and self._last_role == "assistant"
            self._replying = not answered
        if known or (not own and frame.data.get("duplicate") is True):
            return []
        self._mark_shown(message.id, "user")
        return [] if own else [texts.message(message)]

    def _start(self, frame: Frame) -> list[Action]:
        if frame.text("chatId") != self.chat_id or frame.text("messageId") in self._shown:
            return []
        self._resuming = False
        actions: list[Action] = []
        if self.reply is None or self.reply.message_id != frame.text("messageId"):
            if self.reply or "replaces" in frame.data:
                actions.append(Line("The reply is written anew."))
            self.reply = Reply(frame.text("messageId"), frame.number("attempt"))
        return actions + self._take_text(self.reply, frame, "content")

    def _token(self, frame: Frame) -> list[Action]:
        if self.reply is None or self.reply.message_id != frame.text("messageId"):
            return []
        return self._take_text(self.reply, frame, "token")

    def _take_text(self, reply: Reply, frame: Frame, name: str) -> list[Action]:
        taken = reply.take(frame.number("attempt"), frame.number("offset"), frame.text(name))
        actions: list[Action] = [Line("The reply starts over.")] if taken.restarted else []
        if taken.missing and not self._resuming:
            self._resuming = True
            actions.append(Resume())
        return [*actions, Stream(taken.text)] if taken.text else actions

    def _complete(self, frame: Frame) -> list[Action]:
        message_id, attempt = frame.text("messageId"), frame.number("attempt")
        if frame.text("chatId") != self.chat_id or message_id in self._shown:
            return []
        reply = self.reply
        if reply is None or reply.message_id != message_id:
            reply = Reply(message_id, attempt)
        self._end_reply()
        self._mark_shown(message_id, "assistant")
        actions = self._show_complete(reply, attempt, frame.optional("content"))
        reason = frame.text("finishReason")
        if reason != "stop":
            actions.append(Line(f"The reply ended early: {reason}."))
        if self._costs:
            actions += texts.cost(frame)
        return actions + self._send_held()

    def _show_complete(self, reply: Reply, attempt: int, content: str | None) -> list[Action]:
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

    def _hold(self, refused: PendingRequest) -> list[Action]:
        """Keep a message until the running reply is complete, and say so once."""
        self._pending.held = refused
        self._stop = _Stop.NO  # what was to stop has not begun; what runs may be somebody else's
        name = refused.frame.text("clientMessageId")
        known, self._held_id = self._held_id, name
        return [] if known == name else [Line(texts.MESSAGE_HELD)]

    def _mark_shown(self, message_id: str, role: str) -> None:
        self._shown.add(message_id)
        self._last_role = role
        self.oldest = self.oldest or message_id
