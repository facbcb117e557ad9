"""The memory of an environment: measured while it handles an event, and compared with the function's limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from parley.clock import Clock, Timer

_RUNTIME_MB = 40.0
"""The memory of Python and AWS's runtime on AWS. Here an environment shares it with the zygote."""

_POLL_SECONDS = 0.25
"""The time between two measurements. An event that is handled faster is not measured."""


class MemoryWatch:
    """The measurements of one process during one event. `on_exceeded` gets the MB in use, once, if they are too many.

    `used` is the most that was measured, in MB; None before the first measurement.
    """

    def __init__(self, pid: int, limit: float, clock: Clock, on_exceeded: Callable[[float], None]) -> None:
        self.used: float | None = None
        self._pid = pid
        self._limit = limit
        self._clock = clock
        self._on_exceeded = on_exceeded
        self._timer = self._next()

    def stop(self) -> None:
        """End the measurements."""
        self._timer.cancel()

    def _next(self) -> Timer:
        return self._clock.call_later(_POLL_SECONDS, self._measure)

    def _measure(self) -> None:
        used = used_mb(self._pid)
        self.used = max(used, self.used or 0.0)
        if used > self._limit:
            self._on_exceeded(used)
        else:
            self._timer = self._next()


def used_mb(pid: int) -> float:
    """Return about how many MB a function's process uses; 0 where this cannot be measured (not on Linux).

    The memory that it shares with the zygote, above all libraries, is counted as `_RUNTIME_MB`. The zygote has loaded
    the libraries of all functions, so the shared memory is more than this function needs.
    """
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0.0
    private = sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_"))
    return _RUNTIME_MB + private / 1024
