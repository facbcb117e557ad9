"""State of one chat: frames go in, events and commands come out. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from parley.client.errors import ChatNotFound, InvalidToken, Refused, RequestLost, TooLarge
from parley.client.events import (
    Answered,
    Authenticated,
    BranchSelected,
    CallAnswered,
    Cancel,
    ChatDeleted,
    ChatOpened,
    ChatUpdated,
    EarlierMessages,
    GatewayError,
    Greeted,
    MessageHeld,
    MessageMissed,
    Notice,
    Outcome,
    ReplyEnded,
    ReplyLeft,
    ReplyPart,
    ReplyRestarted,
    ReplyStarted,
    ReplyText,
    RequestFailed,
    Resume,
    Send,
    ServerError,
    UserMessage,
)
from parley.client.frames import GATEWAY_ERROR, Frame
from parley.client.messages import History, Message, parse_message
from parley.client.pending import Pending, PendingRequest
from parley.client.reply import Reply


class _Stop(Enum):
    """Request of the user to stop the running reply."""

    NO = auto()
    REQUESTED = auto()
    SENT = auto()


class Conversation:
    """The chat as this client has seen it, and what is pending.

    `notices` are the ids of those that have come, on all connections of a client.
    """

    def __init__(self, notices: set[str] | None = None) -> None:
        self.chat_id: str | None = None
        self.title = ""
        self.assistant: str | None = None
        self.history = History()
        self.reply: Reply | None = None
        self._pending = Pending()
        self._held_id: str | None = None
        self._offline = False
        self._replying = False
        self._resuming = False
        self._rejoining = False
        self._stop = _Stop.NO
        self._last_role: str | None = None
        self._seen: set[str] = set()
        self._fetched: set[str] = set()
        self._notices: set[str] = set() if notices is None else notices
        self._handlers: dict[str, Callable[[Frame], list[Outcome]]] = {
            "connected": _greeted,
            "authenticated": lambda frame: [Authenticated(frame.text("userId"))],
            "chat_created": self._chat_created,
            "chat_joined": self._chat_joined,
            "history": self._history,
            "chat_updated": self._chat_updated,
            "chat_deleted": self._chat_deleted,
            "user_message": self._user_message,
            "branch_selected": self._branch_selected,
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
        return bool(self._pending) or self._rejoining or (replying and not self.asking)

    @property
    def asking(self) -> list[str]:
        """Ids of the calls that the running reply waits with until the user approves or rejects them."""
        return self.reply.parts.waiting if self.reply is not None else []

    @property
    def replying(self) -> bool:
        """True while a reply is running or requested."""
        return self.expects_a_reply or self._pending.asks_for_a_reply

    @property
    def expects_a_reply(self) -> bool:
        """True while a reply is running, or the server has accepted a message of this client."""
        return self._replying or self.reply is not None

    @property
    def stopping(self) -> bool:
        """True after the user has asked to stop the reply."""
        return self._stop is not _Stop.NO

    def ask(self, frame: Frame, answer: str, *, waits: bool = False) -> None:
        """Record that `frame` is being sent, and the kind of frame that answers it."""
        self._pending.ask(frame, answer, waits=waits)
        self._stop = _Stop.NO

    def stop(self) -> list[Outcome]:
        """Stop the running or requested reply: now, or as soon as the server knows of it."""
        if self.replying:
            self._stop = _Stop.REQUESTED
        return self._cancel()

    def retry(self) -> list[Outcome]:
        """Send the held message again, unless a reply is still running."""
        return [] if self.expects_a_reply else self._send_held()

    def resume(self) -> dict[str, Any]:
        """Return the field of `join_chat` that names the running reply and what has come of it."""
        reply = self.reply
        if reply is None:
            return {}
        return {"resume": {"messageId": reply.message_id, "offset": reply.length, "attempt": reply.attempt}}

    def fetch(self, message: Message) -> list[Outcome]:
        """Get the whole of a stored reply that a page has only in part. Do so once."""
        if self.reply is not None or message.id in self._fetched:
            return []
        self._fetched.add(message.id)
        self._seen.discard(message.id)
        self.reply = Reply(message.id, 1)
        return [Resume()]

    def disconnected(self) -> list[Outcome]:
        """Record the loss of the connection. A request that may come twice is sent again on the next one."""
        dropped = self._pending.lost()
        self._offline = True
        self._resuming = False
        if self.stopping:
            self._stop = _Stop.REQUESTED
        return [RequestFailed(RequestLost(_LOST))] if dropped else []

    def drop_request(self) -> list[Outcome]:
        """Drop the request, because the gateway does not take its frame."""
        return [RequestFailed(TooLarge(_TOO_LARGE))] if self._pending.clear() else []

    def forget_request(self) -> None:
        """Drop the request: nobody waits for its answer any more."""
        self._pending.clear()

    def leave(self) -> None:
        """Forget the chat: the connection is in none any more."""
        self.chat_id = None
        self._end_reply()
        self.history.clear()

    @property
    def is_rejoining(self) -> bool:
        """True if the chat is joined again, because the known messages are no longer those that are shown."""
        return self._rejoining

    def rejoined(self) -> list[Outcome]:
        """Record that the chat was joined again on a new connection."""
        self._offline = False
        return self._cancel()

    def take(self, frame: Frame) -> list[Outcome]:
        """Handle a frame of the server. Raises FrameError if it breaks the protocol. Unknown kinds are ignored."""
        handler = self._handlers.get(frame.kind)
        outcomes = handler(frame) if handler else []
        if self._pending.answered(frame):
            outcomes = [*outcomes, Answered(frame)]
        return outcomes + self._cancel()

    def _cancel(self) -> list[Outcome]:
        # A `cancel` is refused before the server knows of the reply: wait until it has accepted the message.
        known = self.expects_a_reply or self._pending.held is not None
        if self._stop is not _Stop.REQUESTED or not known or self._offline:
            return []
        self._stop = _Stop.SENT
        return [Cancel(self.reply.message_id if self.reply else None)]

    def _send_held(self) -> list[Outcome]:
        frame = self._pending.release()
        return [Send(frame)] if frame else []

    def _end_reply(self) -> None:
        self.reply, self._replying, self._stop = None, False, _Stop.NO

    def _open_chat(self, frame: Frame, is_new: bool) -> list[Outcome]:
        self.chat_id, self.title = frame.text("chatId"), frame.text("title")
        self.assistant = frame.optional("assistant")
        self._last_role = None
        self._end_reply()
        self._seen.clear()
        self.history.clear()
        return [ChatOpened(self.chat_id, self.title, self.assistant, is_new)]

    def _chat_created(self, frame: Frame) -> list[Outcome]:
        return self._open_chat(frame, is_new=True) if frame.text("chatId") != self.chat_id else []

    def _chat_joined(self, frame: Frame) -> list[Outcome]:
        page = [parse_message(each) for each in frame.frames("messages")]
        outcomes: list[Outcome] = []
        self._rejoining = False
        if frame.text("chatId") != self.chat_id:
            outcomes += self._open_chat(frame, is_new=False)
        for message in page:
            outcomes += self._take_missed(message)
        self.history.join(page, frame.data.get("hasMore") is True)
        self._last_role = page[-1].role if page else None
        # No reply is running, and the last message is an answer: the reply ended while the client was away.
        running = "reply" in frame.data or (self.reply and any(each.id == self.reply.message_id for each in page))
        if not running and self._last_role == "assistant":
            self._end_reply()
        return outcomes

    def _take_missed(self, message: Message) -> list[Outcome]:
        """Report a message of the joined chat if it is new here, or the rest of it if it is the running reply."""
        if message.id in self._seen:
            return []
        reply = self.reply
        if reply and message.id == reply.message_id and not message.is_whole:
            return []  # too large for this frame: the server sends the rest in pieces
        self._mark_seen(message.id, message.role)
        if reply and message.id == reply.message_id:
            self._end_reply()
            known = reply.parts.newest
            fresh = [ReplyPart(reply.message_id, part) for part in message.parts if part not in known]
            return [*self._take_whole(reply, reply.attempt, message.text or ""), *fresh, ReplyEnded(message)]
        return [MessageMissed(message)]

    def _history(self, frame: Frame) -> list[Outcome]:
        page = tuple(parse_message(each) for each in frame.frames("messages"))
        if frame.text("chatId") != self.chat_id:
            return []
        self.history.earlier(page, frame.data.get("hasMore") is True)
        self._seen.update(each.id for each in page)
        return [EarlierMessages(page)]

    def _chat_updated(self, frame: Frame) -> list[Outcome]:
        chat_id, title = frame.text("chatId"), frame.text("title")
        if chat_id == self.chat_id:
            self.title = title
        return [ChatUpdated(chat_id, title)]

    def _chat_deleted(self, frame: Frame) -> list[Outcome]:
        deleted: list[Outcome] = [ChatDeleted(frame.text("chatId"))]
        if frame.text("chatId") != self.chat_id:
            return deleted
        if self._pending.clear():
            deleted.append(RequestFailed(ChatNotFound(_DELETED, "chat_not_found")))
        self._end_reply()
        return deleted

    def _user_message(self, frame: Frame) -> list[Outcome]:
        if frame.text("chatId") != self.chat_id:
            return []
        message = parse_message(frame)
        own = self._pending.is_own(frame.optional("clientMessageId"))
        known = message.id in self._seen
        if own:  # it was sent again after a loss, and may be answered by now
            answered = known and self.reply is None and self._last_role == "assistant"
            self._replying = not answered
        if known or (not own and frame.data.get("duplicate") is True):
            return []
        replaces = frame.optional("replaces")
        if replaces is not None:
            self.history.cut(replaces)
        self.history.put(message)
        self._mark_seen(message.id, "user")
        stored: list[Outcome] = [UserMessage(message, own, replaces)]
        if frame.data.get("duplicate") is not True:
            return stored
        # The first acknowledgement got lost here. The reply may have come before this one: the page says how it stands.
        self._rejoining = True
        return [*stored, Resume()]

    def _branch_selected(self, frame: Frame) -> list[Outcome]:
        if frame.text("chatId") != self.chat_id:
            return []
        self._rejoining = True
        return [BranchSelected(frame.text("messageId")), Resume()]

    def _start(self, frame: Frame) -> list[Outcome]:
        message_id, attempt = frame.text("messageId"), frame.number("attempt")
        if frame.text("chatId") != self.chat_id or message_id in self._seen:
            return []
        self._resuming = False
        outcomes: list[Outcome] = []
        if self.reply is None or self.reply.message_id != message_id:
            replaces = frame.optional("replaces")
            left_behind = self.reply is not None and replaces is None
            if self.reply is not None and left_behind:
                outcomes.append(ReplyLeft(self.reply.message_id))
            if replaces is not None:
                self.history.cut(replaces)
            self.reply = Reply(message_id, attempt, self.history.last_of_the_user)
            outcomes.append(ReplyStarted(message_id, attempt, replaces))
            if left_behind:
                # The end of the earlier reply comes 15 s later or more. `chat_joined` shows the whole of it at once.
                outcomes.append(Resume())
        return outcomes + self._take_text(self.reply, frame, "content")

    def _token(self, frame: Frame) -> list[Outcome]:
        if self.reply is None or self.reply.message_id != frame.text("messageId"):
            return []
        return self._take_text(self.reply, frame, "token")

    def _part(self, frame: Frame) -> list[Outcome]:
        reply = self.reply
        if reply is None or reply.message_id != frame.text("messageId") or frame.number("attempt") != reply.attempt:
            return []
        part, missing = reply.parts.take(frame)
        if missing:
            return self._resume_once()
        return [ReplyPart(reply.message_id, part)] if part else []

    def _call_answered(self, frame: Frame) -> list[Outcome]:
        if self.reply is None or self.reply.message_id != frame.text("messageId"):
            return []
        call_id, approved = frame.text("callId"), frame.data.get("approved") is True
        return [CallAnswered(call_id, approved, self.reply.parts.answer(call_id))]

    def _take_text(self, reply: Reply, frame: Frame, name: str) -> list[Outcome]:
        something = bool(reply.length or len(reply.parts))
        taken = reply.take(frame.number("attempt"), frame.number("offset"), frame.text(name))
        # Offsets decide. A piece of a newer attempt voids all text; a piece that overlaps adds only its rest; a piece
        # after a gap adds nothing.
        outcomes: list[Outcome] = []
        if taken.restarted and something:
            outcomes.append(ReplyRestarted(reply.message_id, reply.attempt))
        if taken.missing:
            outcomes += self._resume_once()
        return [*outcomes, ReplyText(reply.message_id, taken.text)] if taken.text else outcomes

    def _resume_once(self) -> list[Outcome]:
        """Ask for what is missing. Once for each gap is enough: more pieces may arrive before the answer."""
        if self._resuming:
            return []
        self._resuming = True
        return [Resume()]

    def _complete(self, frame: Frame) -> list[Outcome]:
        message_id, attempt = frame.text("messageId"), frame.number("attempt")
        if frame.text("chatId") != self.chat_id or message_id in self._seen:
            return []
        reply = self.reply
        if reply is None or reply.message_id != message_id:
            reply = Reply(message_id, attempt, self.history.last_of_the_user)
        if self._lacks(reply, frame):
            self.reply, self._resuming = reply, True
            return [Resume()]
        finish = frame.text("finishReason")
        outcomes = self._take_whole(reply, attempt, frame.optional("content"))
        fields = {"role": "assistant", **frame.data, "content": reply.text, "finishReason": finish}
        message = parse_message(Frame(frame.kind, fields), reply.parts.newest)
        self._end_reply()
        self._mark_seen(message_id, "assistant")
        self.history.put(message, after=reply.answers)
        return [*outcomes, ReplyEnded(message), *self._send_held()]

    def _lacks(self, reply: Reply, complete: Frame) -> bool:
        """Tell if text or parts of a reply are missing at its end, so that it has to be resumed."""
        if complete.optional("content") is None and reply.length < complete.number("length"):
            return True
        parts = complete.data.get("partCount")
        if not isinstance(parts, int) or len(reply.parts) >= parts or reply.message_id in self._fetched:
            return False
        self._fetched.add(reply.message_id)
        return True

    def _take_whole(self, reply: Reply, attempt: int, content: str | None) -> list[Outcome]:
        """Take the whole text of a reply. None means that it is too large to be sent again, and known."""
        if content is None:
            return []
        if attempt > reply.attempt or not content.startswith(reply.text):
            reply.replace(attempt, content)
            return [ReplyRestarted(reply.message_id, attempt), ReplyText(reply.message_id, content)]
        rest = reply.take(attempt, 0, content).text
        return [ReplyText(reply.message_id, rest)] if rest else []

    def _error(self, frame: Frame) -> list[Outcome]:
        refused, code = self._pending.refused(frame), frame.optional("code")
        if refused and refused.waits and code == "busy":
            return self._hold(refused)
        if refused or code == "nothing_to_cancel":
            self._stop = _Stop.NO
        error: list[Outcome] = [ServerError(frame.text("message"), code)]
        return [*error, RequestFailed(refusal(frame))] if refused else error

    def _notice(self, frame: Frame) -> list[Outcome]:
        notice_id = frame.optional("noticeId")
        known = notice_id in self._notices
        if notice_id is not None:
            self._notices.add(notice_id)
        return [] if known else [Notice(frame.text("message"))]

    def _gateway_error(self, frame: Frame) -> list[Outcome]:
        """Report an error of the gateway. It does not say which request has failed: the pending one is taken for it."""
        failed = self._pending.failed()
        if not self.replying:
            self._stop = _Stop.NO
        text = frame.text("message")
        lost = RequestLost(
            f"The gateway reports: {text}. Nobody knows if the request was carried out: look, ask again."
        )
        return [GatewayError(text), *([RequestFailed(lost)] if failed else [])]

    def _hold(self, refused: PendingRequest) -> list[Outcome]:
        """Keep a message until the running reply is complete, and say so once."""
        self._pending.held = refused
        self._stop = _Stop.NO  # the reply to stop has not begun; the running one may be another user's
        name = refused.frame.text("clientMessageId")
        known, self._held_id = self._held_id, name
        return [] if known == name else [MessageHeld()]

    def _mark_seen(self, message_id: str, role: str) -> None:
        self._seen.add(message_id)
        self._last_role = role


_LOST = "The connection was lost before the answer. Look at the chat's messages, then ask again."
_TOO_LARGE = "The gateway refused the frame: it is too large. Send a shorter one."
_DELETED = "The chat was deleted. Create another one."

_NEXT_STEPS = {
    "invalid_token": "Get a new token.",
    "chat_not_found": "Create a chat, or open another one.",
    "busy": "Wait for the end of the running reply, or cancel it.",
    "rate_limited": "Send it again after `retry_after` seconds.",
}
_KINDS = {"invalid_token": InvalidToken, "chat_not_found": ChatNotFound}


def refusal(error: Frame) -> Refused:
    """Return the exception for a refusal of the server."""
    code, words, after = error.optional("code"), error.text("message"), error.data.get("retryAfter")
    step = f" {_NEXT_STEPS[code]}" if code in _NEXT_STEPS else ""
    text = f"The server refused: {words} ({code or 'error'}).{step}"
    seconds = after if isinstance(after, int | float) else None
    return _KINDS.get(code or "", Refused)(text, code, seconds, words)


def _greeted(frame: Frame) -> list[Outcome]:
    limits = frame.data.get("limits")
    listed = tuple(frame.assistants())
    return [Greeted(frame.optional("protocol") or "1.0", listed, limits if isinstance(limits, dict) else {})]
