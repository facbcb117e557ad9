"""Requests that the server has not answered yet. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from parley.client.frames import Frame

REPEATABLE = frozenset({"message", "edit", "create_chat", "join_chat", "approve", "select", "load_history"})
"""The requests that may come twice: by their ids, or because they change nothing the second time."""

_MESSAGES = ("message", "edit")


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request without an answer so far. A frame of the kind `answer` settles it, or an error.

    If `waits` is True, a message that is refused because a reply is running is sent again after that reply.
    """

    frame: Frame
    answer: str
    waits: bool = False


class Pending:
    """At most one request, or one message that is held to be sent again."""

    def __init__(self) -> None:
        self.request: PendingRequest | None = None
        self.held: PendingRequest | None = None
        self._own_ids: set[str] = set()

    def __bool__(self) -> bool:
        return self.request is not None or self.held is not None

    @property
    def asks_for_a_reply(self) -> bool:
        """True while the pending request asks for a reply."""
        waiting = self.request or self.held
        return waiting is not None and waiting.frame.kind in (*_MESSAGES, "regenerate")

    def ask(self, frame: Frame, answer: str, *, waits: bool = False) -> None:
        """Record that `frame` is being sent, and the kind of frame that answers it."""
        self.request = PendingRequest(frame, answer, waits)
        if frame.kind in _MESSAGES:
            self._own_ids.add(frame.text("clientMessageId"))

    def is_own(self, client_message_id: str | None) -> bool:
        """Tell if this client sent a message."""
        return client_message_id in self._own_ids

    def answered(self, frame: Frame) -> bool:
        """Settle the request, or the held message, if this frame answers it. Return True then."""
        settled = False
        if self.request and _settles(frame, self.request):
            self.request, settled = None, True
        if self.held and _settles(frame, self.held):
            self.held, settled = None, True
        return settled

    def refused(self, error: Frame) -> PendingRequest | None:
        """Settle the request if this error refuses it, and return it."""
        request = self.request
        if request is None or not _refuses(error, request.frame):
            return None
        self.request = None
        return request

    def failed(self) -> bool:
        """Settle the request after an error that names none. A message is held: it is sent again under its own id.

        Return True if the request will have no answer.
        """
        request, self.request = self.request, None
        if request and request.frame.kind in _MESSAGES:
            self.held, request = request, None
        return request is not None

    def release(self) -> Frame | None:
        """Turn the held message into the request, and return it to be sent."""
        if self.held is None:
            return None
        self.request, self.held = self.held, None
        return self.request.frame

    def lost(self) -> bool:
        """Keep a request that is sent again on the next connection. Drop any other one, and return True then."""
        self.release()
        dropped = self.request is not None and self.request.frame.kind not in REPEATABLE
        if dropped:
            self.request = None
        return dropped

    def clear(self) -> bool:
        """Drop the request and the held message. Return True if there was one."""
        was_pending = bool(self)
        self.request = self.held = None
        return was_pending


def _settles(frame: Frame, request: PendingRequest) -> bool:
    return frame.kind == request.answer and _answers(frame, request.frame)


def _answers(frame: Frame, asked: Frame) -> bool:
    if asked.kind in _MESSAGES:
        return frame.optional("clientMessageId") == asked.text("clientMessageId")
    return frame.request_id in (asked.request_id, None)


def _refuses(error: Frame, asked: Frame) -> bool:
    """Tell if an error refuses a request. An error that names no request refuses the pending one."""
    named = {error.request_id, error.optional("clientMessageId")} - {None}
    return not named or bool(named & {asked.request_id, asked.data.get("clientMessageId")})
