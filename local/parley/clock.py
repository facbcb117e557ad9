"""Time, as the one thing that every limit of the emulator is measured with. Tests give a clock of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol


class Timer(Protocol):
    """Something that is to be done later."""

    def cancel(self) -> None:
        """Have it not done."""


class Clock:
    """The machine's own clock. A subclass may have its own time: everything else goes through these two methods."""

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call back, in the event loop, after so many seconds."""
        return asyncio.get_running_loop().call_later(seconds, callback)

    async def within(self, seconds: float, work: asyncio.Future[Any]) -> bool:
        """Wait for work, so many seconds at most. Returns whether it is done; it is not cancelled."""
        late: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, late.cancel)
        futures: list[asyncio.Future[Any]] = [work, late]
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        late.cancel()
        return work.done()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not done.done():
                done.set_result(None)

        timer = self.call_later(seconds, wake)
        try:
            await done
        finally:
            timer.cancel()
