"""The trace: everything that the emulator's parts did, in order. The log and the JSON API are made from it."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One event of the trace. `at` is in seconds since the epoch; `fields` are plain JSON values."""

    number: int
    at: float
    kind: str
    fields: dict[str, Any]


class Trace:
    """An ordered stream of events. A ring keeps the newest `size` of them.

    Every part of the emulator records here and nowhere else. Never pass a token, a key or the text of a frame, but as
    `content`: that goes to `keep`, which redacts it, or if there is none nowhere.
    """

    def __init__(self, clock: Callable[[], float] = time.time, size: int = MAX_EVENTS) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self._ring: deque[TraceEvent] = deque(maxlen=size)
        self._listeners: list[Callable[[TraceEvent], None]] = []
        self.keep: Callable[[TraceEvent, Mapping[str, bytes]], None] | None = None

    def record(self, kind: str, content: Mapping[str, bytes] | None = None, /, **fields: Any) -> None:
        """Append an event of this kind and pass it to the listeners. Safe from any thread."""
        event = TraceEvent(next(self._numbers), self._clock(), kind, fields)
        if self.keep and content:
            self.keep(event, content)
        self._ring.append(event)
        for listener in self._listeners:
            listener(event)

    def clear(self) -> None:
        """Forget the events so far. The numbers go on."""
        self._ring.clear()

    def after(self, number: int) -> list[TraceEvent]:
        """Return the kept events with a number higher than `number`, oldest first."""
        return [event for event in list(self._ring) if event.number > number]

    def listen(self, listener: Callable[[TraceEvent], None]) -> None:
        """Call `listener` with every event from now on, in the thread that records the event."""
        self._listeners.append(listener)
