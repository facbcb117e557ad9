"""Server-sent events: bytes of a stream in, events out. Pure: no I/O.

The rules are WHATWG's (https://html.spec.whatwg.org/multipage/server-sent-events.html, "Interpreting an event stream").
Comments, `id`, `retry` and unknown fields are passed over. An event without data is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from handlers.chat.errors import ModelFailed

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""Bytes of one event. An answer has 350,000, so more is a fault, which must not fill the function's memory."""


class Event(NamedTuple):
    """One event. `kind` is empty if the server named none."""

    kind: bytes
    data: bytes


class EventDecoder:
    """The decoder of one stream, which has no byte order mark any more. Its work is linear, however the bytes come."""

    def __init__(self) -> None:
        self._kind = b""
        self._data: list[bytes] = []
        self._line: list[bytes] = []
        self._held = 0
        self._after_return = False

    def feed(self, received: bytes) -> Iterator[Event]:
        """Yield the events that these bytes complete. Raises `ModelFailed` if one is over `MAX_EVENT_BYTES`."""
        if self._after_return and received.startswith(b"\n"):
            # CR and LF end one line together, also if they come apart.
            self._after_return = False
            received = received[1:]
        for line in received.splitlines(keepends=True):
            self._line.append(line)
            self._hold(len(line))
            if line.endswith((b"\n", b"\r")) and (event := self._take_line()) is not None:
                yield event
        if received:
            self._after_return = received.endswith(b"\r")

    def end(self) -> Iterator[Event]:
        """Yield the event that the stream's end has left open. WHATWG drops it; some servers end their stream so."""
        if self._line and (event := self._take_line()) is not None:
            yield event
        if (event := self._dispatch()) is not None:
            yield event

    def _take_line(self) -> Event | None:
        line = b"".join(self._line)
        self._line.clear()
        self._hold(-len(line))
        line = line.rstrip(b"\r\n")
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
            self._hold(len(value))
        elif field == b"event":
            self._kind = value.removeprefix(b" ")
        return None

    def _dispatch(self) -> Event | None:
        event = Event(self._kind, b"\n".join(self._data)) if self._data else None
        self._kind, self._held = b"", 0
        self._data.clear()
        return event

    def _hold(self, more: int) -> None:
        """Count the bytes that are held until their line or their event is complete."""
        self._held += more
        if self._held > MAX_EVENT_BYTES:
            raise ModelFailed(f"an event of over {MAX_EVENT_BYTES} bytes")
