"""Time for every limit of the emulator. Tests pass a clock of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from threading import Lock
from typing import Any, Protocol

_SETTLING = 20
"""Rounds of the event loop in which everything goes on that a timer has set off and that waits for nothing outside."""


class Timer(Protocol):
    """A callback that waits for its time."""

    def cancel(self) -> None:
        """Drop the callback."""


class Loading:
    """Held while a part of the emulator is loaded at its first use, one part at a time. It knows how long that took.

    moto's modules import each other in circles, and Python gives one of two threads that come into a circle from two
    sides a module that is only half there.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._lock = Lock()
        self._now = now
        # The seconds of the loads that are over, and when the present one began: one object for all threads.
        self._taken: tuple[float, float | None] = 0.0, None

    def __enter__(self) -> None:
        self._lock.acquire()
        self._taken = self._taken[0], self._now()

    def __exit__(self, *_: object) -> None:
        self._taken = self.seconds(), None
        self._lock.release()

    def seconds(self) -> float:
        """Return how long loads have taken so far, the present one included."""
        before, since = self._taken
        return before if since is None else before + self._now() - since


class Clock:
    """The machine's own clock.

    A subclass with its own time overrides `time` and `call_later`; everything else goes through these two.
    """

    def __init__(self, loading: Loading | None = None) -> None:
        self.loading = loading or Loading()

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call `callback` in the event loop after this many seconds."""
        return asyncio.get_running_loop().call_later(seconds, callback)

    async def within(self, seconds: float, work: asyncio.Future[Any]) -> bool:
        """Wait for `work`, but at most this many seconds. Return whether it is done; it is never cancelled.

        The time in which the emulator loads a part of itself does not count: AWS's services are there at once.
        """
        before, given = self.loading.seconds(), 0.0
        while not await self._done_after(seconds, work):
            lost = self.loading.seconds() - before
            if lost <= given:
                return False
            seconds, given = lost - given, lost
        return True

    async def _done_after(self, seconds: float, work: asyncio.Future[Any]) -> bool:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def end(_: object = None) -> None:
            if not over.done():
                over.set_result(None)

        # Not `asyncio.wait`, which takes several times as long: every request to the tables waits here.
        timer = self.call_later(seconds, end)
        work.add_done_callback(end)
        try:
            await over
        finally:
            timer.cancel()
            work.remove_done_callback(end)
        return work.done()

    async def sleep(self, seconds: float) -> None:
        """Return after this many seconds."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not done.done():
                done.set_result(None)

        timer = self.call_later(seconds, wake)
        try:
            await done
        finally:
            timer.cancel()


class MovableClock(Clock):
    """The machine's clock, which a test puts ahead by `ahead` seconds. What is due by then happens at once.

    `within` keeps to the machine's time: a function that runs does not get faster by it, and a test cannot know whether
    one has ended whose answer it has.
    """

    def __init__(self, machine: Clock | None = None) -> None:
        self._machine = machine or Clock()
        super().__init__(self._machine.loading)
        self.ahead = 0.0
        self._timers: set[_MovableTimer] = set()

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return super().time() + self.ahead

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call `callback` in the event loop after this many seconds."""
        timer = _MovableTimer(self._now() + max(0.0, seconds), callback, self._timers)
        timer.wait(seconds)
        return timer

    async def within(self, seconds: float, work: asyncio.Future[Any]) -> bool:
        """Wait for `work`, but at most this many seconds of the machine. Return whether it is done."""
        return await self._machine.within(seconds, work)

    async def advance(self, seconds: float) -> None:
        """Let time pass: what is due by then happens in the order of its time, and so does what follows from it."""
        end, ahead = self._now() + seconds, self.ahead + seconds
        await settle()
        while (timer := min(self._timers, key=lambda each: each.due, default=None)) and timer.due <= end:
            self.ahead = min(ahead, self.ahead + max(0.0, timer.due - self._now()))
            timer.ring()
            await settle()
        self.ahead = ahead
        for timer in list(self._timers):
            timer.wait(timer.due - self._now())

    def reset(self) -> None:
        """Go back to the machine's time."""
        self.ahead = 0.0
        for timer in list(self._timers):
            timer.wait(timer.due - self._now())

    def _now(self) -> float:
        """Return the seconds by which timers are compared: nobody sets this time back."""
        return asyncio.get_running_loop().time() + self.ahead


class _MovableTimer:
    """A callback that is due at a time of a `MovableClock`, whose `timers` are those that wait."""

    def __init__(self, due: float, callback: Callable[[], object], timers: set[_MovableTimer]) -> None:
        self.due = due
        self._callback = callback
        self._timers = timers
        self._handle: asyncio.TimerHandle | None = None
        timers.add(self)

    def wait(self, seconds: float) -> None:
        """Ring after this many seconds of the machine's clock."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = asyncio.get_running_loop().call_later(max(0.0, seconds), self.ring)

    def ring(self) -> None:
        """Call the callback now."""
        self.cancel()
        self._callback()

    def cancel(self) -> None:
        """Drop the callback."""
        self._timers.discard(self)
        if self._handle is not None:
            self._handle.cancel()


async def settle() -> None:
    """Let every task go on until it waits for something outside of this process."""
    for _ in range(_SETTLING):
        await asyncio.sleep(0)
