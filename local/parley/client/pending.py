"""Requests that the server has not answered yet. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from parley.client.frames import Frame


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request without an answer so far. A frame of the kind `answer` settles it, or an error."""

    frame: Frame
    answer: str


class Pending:
    """At most one request, or one message that was refused as busy and is held to be sent again."""

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
        return waiting is not None and waiting.frame.kind in ("message", "regenerate")

    def ask(self, frame: Frame, answer: str) -> None:
        """Record that `frame` is being sent, and the kind of frame that answers it."""
        self.request = PendingRequest(frame, answer)
        if frame.kind == "message":
            self._own_ids.add(frame.text("clientMessageId"))

    def is_own(self, client_message_id: str | None) -> bool:
        """Tell if this client sent a message."""
        return client_message_id in self._own_ids

    def answered(self, frame: Frame) -> None:
        """Settle the request, or the held message, if this frame answers it."""
        if self.request and _settles(frame, self.request):
            self.request = None
        if self.held and _settles(frame, self.held):
            self.held = None

    def refused(self, error: Frame) -> PendingRequest | None:
        """Settle the request if this error refuses it, and return it."""
        request = self.request
        if request is None or not _refuses(error, request.frame):
            return None
        self.request = None
        return request

    def failed(self) -> None:
        """Settle the request after an error that names none. A message is held: it is sent again under its own id."""
        request, self.request = self.request, None
        if request and request.frame.kind == "message":
            self.held = request

    def release(self) -> Frame | None:
        """Turn the held message into the request, and return it to be sent."""
        if self.held is None:
            return None
        self.request, self.held = self.held, None
        return self.request.frame

    def lost(self) -> None:
        """Keep a message, which is sent again on the next connection, and drop any other request."""
        self.release()
        if self.request and self.request.frame.kind != "message":
            self.request = None

    def clear(self) -> None:
        """Drop the request and the held message."""
        self.request = self.held = None


def _settles(frame: Frame, request: PendingRequest) -> bool:
    return frame.kind == request.answer and _answers(frame, request.frame)


def _answers(frame: Frame, asked: Frame) -> bool:
    if asked.kind == "message":
        return frame.optional("clientMessageId") == asked.text("clientMessageId")
    return frame.request_id in (asked.request_id, None)


def _refuses(error: Frame, asked: Frame) -> bool:
    """Tell if an error refuses a request. An error that names no request refuses the pending one."""
    named = {error.request_id, error.optional("clientMessageId")} - {None}
    return not named or bool(named & {asked.request_id, asked.data.get("clientMessageId")})
