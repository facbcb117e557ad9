"""State of the client's chat: frames go in, actions come out. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from parley.client import texts
from parley.client.actions import Action, Cancel, End, Line, Resume, Send, Stream, Style
from parley.client.frames import GATEWAY_ERROR, Frame, ListedAssistant, StoredMessage
from parley.client.parts import Parts
from parley.client.parts import stored as stored_parts
from parley.client.pending import Pending, PendingRequest
from parley.client.reply import Reply


class _Stop(Enum):
    """Request of the user to stop the running reply."""

    NO = auto()
    REQUESTED = auto()
    SENT = auto()


class Transcript:
    """The chat as this client has seen it, and what is pending."""

    def __init__(self, *, costs: bool = False) -> None:
        self.chat_id: str | None = None
        self.oldest: str | None = None
        """Id of the oldest message shown. `/history` loads the messages before it."""
        self.reply: Reply | None = None
        self._costs = costs
        self._parts = Parts()
        self._pending = Pending()
        self._held_id: str | None = None
        self._offline = False
        self._replying = False
        self._resuming = False
        self._stop = _Stop.NO
        self._last_role: str | None = None
        self._shown: set[str] = set()
        self._notices: set[str] = set()
        self._assistants: dict[str, ListedAssistant] = {}
        self._handlers: dict[str, Callable[[Frame], list[Action]]] = {
            "connected": self._connected,
            "chat_created": self._chat_created,
            "chat_joined": self._chat_joined,
            "history": self._history,
            "chat_updated": self._chat_updated,
            "chat_deleted": self._chat_deleted,
            "user_message": self._user_message,
            "assistant_message_start": self._start,
            "assistant_message_token": self._token,
            "assistant_message_part": self._part,
            "assistant_message_complete": self._complete,
            "call_answered": self._call_answered,
            "error": self._error,
            "notice": self._notice,
            GATEWAY_ERROR: self._gateway_error,
        }

    @property
    def request(self) -> PendingRequest | None:
        """The request that must be answered before the next one is sent."""
        return self._pending.request

    @property
    def busy(self) -> bool:
        """True while an answer to a request, or a reply that waits for nobody here, is to come."""
        replying = self._replying or self.reply is not None
        return bool(self._pending) or (replying and not self.asking)

    @property
    def asking(self) -> list[str]:
        """Ids of the calls that the running reply waits with until the user approves or rejects them."""
        return self._parts.waiting if self.reply is not None else []

    @property
    def replying(self) -> bool:
        """True while a reply is running or requested."""
        return self._replying or self.reply is not None or self._pending.asks_for_a_reply

    @property
    def stopping(self) -> bool:
        """True after the user has asked to stop the reply."""
        return self._stop is not _Stop.NO

    def ask(self, frame: Frame, answer: str) -> None:
        """Record that `frame` is being sent, and the kind of frame that answers it."""
        self._pending.ask(frame, answer)
        self._stop = _Stop.NO

    def stop(self) -> list[Action]:
        """Stop the running or requested reply: now, or as soon as the server knows of it."""
        if self.replying:
            self._stop = _Stop.REQUESTED
        return self._cancel()

    def retry(self) -> list[Action]:
        """Send the held message again, unless a reply is still running."""
        return [] if self.reply or self._replying else self._send_held()

    def disconnected(self) -> None:
        """Record the loss of the connection. A message is sent again on the next one; other requests are dropped."""
        self._pending.lost()
        self._offline = True
        self._resuming = False
        if self.stopping:
            self._stop = _Stop.REQUESTED

    def drop_request(self) -> bool:
        """Drop the request, because the gateway does not take its frame. Return True if there was one."""
        dropped = self._pending.request is not None
        self._pending.clear()
        return dropped

    def rejoined(self) -> list[Action]:
        """Record that the chat was joined again on a new connection."""
        self._offline = False
        return self._cancel()

    def take(self, frame: Frame) -> list[Action]:
        """Handle a frame of the server. Raises FrameError if it breaks the protocol. Unknown kinds are ignored."""
        handler = self._handlers.get(frame.kind)
        actions = handler(frame) if handler else []
        self._pending.answered(frame)
        return actions + self._cancel()

    def _cancel(self) -> list[Action]:
        # A `cancel` is refused before the server knows of the reply: wait until it has accepted the message.
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

    def _connected(self, frame: Frame) -> list[Action]:
        listed, known = frame.assistants(), self._assistants
        self._assistants = {each.id: each for each in listed}
        return [*texts.assistants(listed)] if self._assistants != known else []

    def _assistant_of(self, frame: Frame) -> ListedAssistant | None:
        named = frame.optional("assistant")
        return self._assistants.get(named, ListedAssistant(named, named)) if named else None

    def _chat_created(self, frame: Frame) -> list[Action]:
        self._open_chat(frame.text("chatId"))
        assistant = self._assistant_of(frame)
        return [*texts.opened(frame, assistant), *texts.starters(assistant)]

    def _chat_joined(self, frame: Frame) -> list[Action]:
        actions: list[Action] = []
        if frame.text("chatId") != self.chat_id:
            self._open_chat(frame.text("chatId"))
            actions += texts.opened(frame, self._assistant_of(frame))
        for message in frame.messages():
            actions += self._show_missed(message)
        # No reply is running, and the last message is an answer: the reply ended while the client was away.
        if "reply" not in frame.data and self._last_role == "assistant":
            self._end_reply()
        return actions

    def _show_missed(self, message: StoredMessage) -> list[Action]:
        """Show a message of the joined chat if it is new here, or the rest of it if it is the running reply."""
        if message.id in self._shown:
            return []
        if self.reply and message.id == self.reply.message_id and message.content is None:
            return []  # too large for this frame: the server sends the rest in pieces
        self._mark_shown(message.id, message.role)
        if self.reply and message.id == self.reply.message_id:
            actions = self._show_complete(self.reply, self.reply.attempt, message.content)
            self.reply = None
            return actions
        return _shown(message)

    def _history(self, frame: Frame) -> list[Action]:
        messages = frame.messages()
        if frame.text("chatId") != self.chat_id:
            return []
        if not messages:
            return [Line("There are no earlier messages.")]
        self.oldest = messages[0].id
        self._shown.update(message.id for message in messages)
        return [action for message in messages for action in _shown(message)]

    def _chat_updated(self, frame: Frame) -> list[Action]:
        return [Line(f"Title: {frame.text('title')}")] if frame.text("chatId") == self.chat_id else []

    def _chat_deleted(self, frame: Frame) -> list[Action]:
        if frame.text("chatId") != self.chat_id:
            return []
        self._pending.clear()
        self._end_reply()
        return [Line("This chat was deleted. `/new` starts a new one.", Style.ERROR)]

    def _user_message(self, frame: Frame) -> list[Action]:
        if frame.text("chatId") != self.chat_id:
            return []
        message = StoredMessage(frame.text("messageId"), "user", frame.text("content"))
        own = self._pending.is_own(frame.optional("clientMessageId"))
        known = message.id in self._shown
        if own:  # it was sent again after a loss, and may be answered by now
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
            left_behind = self.reply is not None and "replaces" not in frame.data
            if left_behind:
                actions.append(End())
            elif "replaces" in frame.data:
                actions.append(Line("The reply is written again."))
            self.reply, self._parts = Reply(frame.text("messageId"), frame.number("attempt")), Parts()
            if left_behind:
                # The end of the earlier reply comes 15 s later or more. `chat_joined` shows the whole of it at once.
                actions.append(Resume())
        return actions + self._take_text(self.reply, frame, "content")

    def _token(self, frame: Frame) -> list[Action]:
        if self.reply is None or self.reply.message_id != frame.text("messageId"):
            return []
        return self._take_text(self.reply, frame, "token")

    def _part(self, frame: Frame) -> list[Action]:
        reply = self.reply
        if reply is None or reply.message_id != frame.text("messageId") or frame.number("attempt") != reply.attempt:
            return []
        return [*self._parts.take(frame)]

    def _call_answered(self, frame: Frame) -> list[Action]:
        if self.reply is None or self.reply.message_id != frame.text("messageId"):
            return []
        return [*self._parts.answer(frame.text("callId"), frame.data.get("approved") is True)]

    def _take_text(self, reply: Reply, frame: Frame, name: str) -> list[Action]:
        taken = reply.take(frame.number("attempt"), frame.number("offset"), frame.text(name))
        if taken.restarted:
            self._parts = Parts()
        # Offsets decide. A piece of a newer attempt voids all text; a piece that overlaps adds only its rest; a piece
        # after a gap adds nothing. One `resume` per gap is enough: more pieces may arrive before its answer.
        actions: list[Action] = [Line("The reply starts over.")] if taken.restarted else []
        if taken.missing and not self._resuming:
            self._resuming = True
            actions.append(Resume())
        return [*actions, *self._parts.texts(), Stream(taken.text)] if taken.text else actions

    def _complete(self, frame: Frame) -> list[Action]:
        message_id, attempt = frame.text("messageId"), frame.number("attempt")
        if frame.text("chatId") != self.chat_id or message_id in self._shown:
            return []
        reply = self.reply
        if reply is None or reply.message_id != message_id:
            reply = Reply(message_id, attempt)
        if frame.optional("content") is None and reply.length < frame.number("length"):
            self.reply, self._resuming = reply, True
            return [Resume()]
        self._end_reply()
        self._mark_shown(message_id, "assistant")
        actions = [*self._parts.texts(), *self._show_complete(reply, attempt, frame.optional("content"))]
        reason = frame.text("finishReason")
        if reason != "stop":
            actions.append(Line(f"The reply ended early: {reason}."))
        if self._costs:
            actions += texts.cost(frame)
        return actions + self._send_held()

    def _show_complete(self, reply: Reply, attempt: int, content: str | None) -> list[Action]:
        """Show the rest of a reply whose whole text is `content`. None means that it is too large to be sent again."""
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

    def _notice(self, frame: Frame) -> list[Action]:
        line = Line(f"Notice: {frame.text('message')}")
        notice_id = frame.optional("noticeId")
        if notice_id is None:
            return [line]
        repeated = notice_id in self._notices
        self._notices.add(notice_id)
        return [] if repeated else [line]

    def _gateway_error(self, frame: Frame) -> list[Action]:
        """Show an error of the gateway. It does not say which request has failed: the pending one is taken for it."""
        self._pending.failed()
        if not self.replying:
            self._stop = _Stop.NO
        return [texts.gateway_error(frame)]

    def _hold(self, refused: PendingRequest) -> list[Action]:
        """Keep a message until the running reply is complete, and say so once."""
        self._pending.held = refused
        self._stop = _Stop.NO  # the reply to stop has not begun; the running one may be another user's
        name = refused.frame.text("clientMessageId")
        known, self._held_id = self._held_id, name
        return [] if known == name else [Line(texts.MESSAGE_HELD)]

    def _mark_shown(self, message_id: str, role: str) -> None:
        self._shown.add(message_id)
        self._last_role = role
        self.oldest = self.oldest or message_id


def _shown(message: StoredMessage) -> list[Action]:
    """Return the lines of a stored message, its parts before its text."""
    return [*stored_parts(message.parts), texts.message(message)]
