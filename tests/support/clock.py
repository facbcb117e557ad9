"""Clocks that a test moves."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

from parley.clock import Clock


class ManualClock(Clock):
    """Starts at `now`, in seconds since the epoch."""

    def __init__(self, now: float = 1_731_324_924.0) -> None:
        super().__init__()
        self.now = now
        self._numbers = count()
        self._timers: list[tuple[float, int, _Timer]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], object]) -> _Timer:
        timer = _Timer(callback)
        heapq.heappush(self._timers, (self.now + seconds, next(self._numbers), timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Let time pass: what is due by then is done in its order, and so is what follows from it."""
        end = self.now + seconds
        await settle()
        while self._timers and self._timers[0][0] <= end:
            moment, _, timer = heapq.heappop(self._timers)
            self.now = max(self.now, moment)
            if not timer.cancelled:
                timer.callback()
                await settle()
        self.now = end
        await settle()


class _Timer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


async def settle() -> None:
    """Let every task go on until it waits for something outside."""
    for _ in range(20):
        await asyncio.sleep(0)


class ShiftedClock(Clock):
    """The machine's clock, which a test puts ahead; what is due in minutes is kept for the test to call."""

    def __init__(self):
        super().__init__()
        self.ahead = 0.0
        self.later = []

    def time(self):
        return super().time() + self.ahead

    def call_later(self, seconds, callback):
        if seconds > 60:
            self.later.append(callback)
        return super().call_later(seconds, callback)


class SettableTime:
    """A function that returns the moment a test has set, in seconds since the epoch."""

    def __init__(self) -> None:
        self.now = 1_731_324_924.0

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)
