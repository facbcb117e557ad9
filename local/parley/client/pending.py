"""What this client has asked of the server and still waits for. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from parley.client.frames import Frame


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """What was asked of the server and not answered yet: settled by a frame of `answer`'s kind, or by an error."""

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
        """Whether a reply is what is waited for."""
        waiting = self.request or self.held
        return waiting is not None and waiting.frame.kind in ("message", "regenerate")

    def ask(self, frame: Frame, answer: str) -> None:
        """Note that `frame` is being sent, and what kind of frame answers it."""
        self.request = PendingRequest(frame, answer)
        if frame.kind == "message":
            self._own_ids.add(frame.text("clientMessageId"))

    def is_own(self, client_message_id: str | None) -> bool:
        """Tell whether a message was sent from here."""
        return client_message_id in self._own_ids

    def answered(self, frame: Frame) -> None:
        """Settle the request, if this is its answer."""
        if self.request and frame.kind == self.request.answer and _answers(frame, self.request.frame):
            self.request = None

    def refused(self, error: Frame) -> PendingRequest | None:
        """Settle the request, if this error refuses it, and return it."""
        request = self.request
        if request is None or not _refuses(error, request.frame):
            return None
        self.request = None
        return request

    def release(self) -> Frame | None:
        """Make the held message the request again, and return it to be sent."""
        if self.held is None:
            return None
        self.request, self.held = self.held, None
        return self.request.frame

    def lost(self) -> None:
        """Keep a message, which is sent again on the next connection, and drop everything else."""
        self.release()
        if self.request and self.request.frame.kind != "message":
            self.request = None

    def clear(self) -> None:
        """Wait for nothing any more."""
        self.request = self.held = None


def _answers(frame: Frame, asked: Frame) -> bool:
    if asked.kind == "message":
        return frame.optional("clientMessageId") == asked.text("clientMessageId")
    return frame.request_id in (asked.request_id, None)


def _refuses(error: Frame, asked: Frame) -> bool:
    """Tell whether an error settles a request. One that names no request settles whatever is awaited."""
    named = {error.request_id, error.optional("clientMessageId")} - {None}
    return not named or bool(named & {asked.request_id, asked.data.get("clientMessageId")})
