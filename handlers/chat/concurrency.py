"""What the relay and the worker take from the process they run in, beside I/O: threads, waiting, the clock, chance.

A simulation gives its own, in which time passes only when everybody waits.
"""

from __future__ import annotations

import contextvars
import random
import threading
import time
from collections.abc import Callable


class Threads:
    """The real ones."""

    def start(self, work: Callable[[], None], name: str) -> threading.Thread:
        """Run `work` in a thread that does not keep the process alive, with the caller's context variables."""
        context = contextvars.copy_context()
        thread = threading.Thread(target=lambda: context.run(work), name=name, daemon=True)
        thread.start()
        return thread

    def condition(self) -> threading.Condition:
        """Return a new condition with a lock of its own."""
        return threading.Condition()

    def monotonic(self) -> float:
        """Return the seconds of a clock that never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        time.sleep(seconds)

    def jitter(self) -> float:
        """Return a number from 0.5 to 1, to part what would otherwise happen at the same time."""
        return random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


THREADS = Threads()
