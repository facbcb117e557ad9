"""Time for every limit of the emulator. Tests pass a clock of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol


class Timer(Protocol):
    """A callback that waits for its time."""

    def cancel(self) -> None:
        """Drop the callback."""


class Clock:
    """The machine's own clock.

    A subclass with its own time overrides `time` and `call_later`; everything else goes through these two.
    """

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call `callback` in the event loop after this many seconds."""
        return asyncio.get_running_loop().call_later(seconds, callback)

    async def within(self, seconds: float, work: asyncio.Future[Any]) -> bool:
        """Wait for `work`, but at most this many seconds. Return whether it is done; it is never cancelled."""
        late: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, late.cancel)
        futures: list[asyncio.Future[Any]] = [work, late]
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        late.cancel()
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
