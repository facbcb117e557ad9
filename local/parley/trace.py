"""What happened in the emulator, in order: the one source of its log and its JSON API."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from parley.asgi import Response


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened. `at` is in seconds since the epoch; `fields` are plain JSON values."""

    number: int
    at: float
    kind: str
    fields: dict[str, Any]


class Trace:
    """An ordered stream of happenings, the newest of which are kept in a ring.

    Every part of the emulator records here and nowhere else. Never pass a token, a key or the text of a frame.
    """

    def __init__(self, clock: Callable[[], float] = time.time, size: int = 10_000) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self._ring: deque[Happening] = deque(maxlen=size)
        self._listeners: list[Callable[[Happening], None]] = []

    def record(self, kind: str, **fields: Any) -> None:
        """Append a happening of this kind and tell the listeners. Safe from any thread."""
        happening = Happening(next(self._numbers), self._clock(), kind, fields)
        self._ring.append(happening)
        for listener in self._listeners:
            listener(happening)

    def after(self, number: int) -> list[Happening]:
        """Return the kept happenings whose number is higher than `number`, oldest first."""
        return [happening for happening in list(self._ring) if happening.number > number]

    def answer(self, query: bytes) -> Response:
        """Answer a request for what is kept, by a query string: `after=N` leaves out what came up to number N."""
        after = parse_qs(query.decode("latin-1")).get("after", ["0"])[-1]
        if not after.isdecimal():
            return Response.of_json(400, {"message": f"after={after} is no number of a happening"})
        found = [
            {"number": each.number, "at": each.at, "kind": each.kind, **each.fields} for each in self.after(int(after))
        ]
        return Response.of_json(200, found)

    def listen(self, listener: Callable[[Happening], None]) -> None:
        """Call `listener` with every happening from now on, in the thread that records it."""
        self._listeners.append(listener)
