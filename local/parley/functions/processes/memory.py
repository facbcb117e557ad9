"""The memory of an environment: measured while it handles an event, and compared with the function's limit."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from parley.clock import Clock, Timer

RUNTIME_MB = 40.0
"""The memory of Python and AWS's runtime on AWS. Here an environment shares it with the zygote."""

_POLL_SECONDS = 0.25
"""The time between two measurements. An event that is handled faster is not measured."""


_GROWTH_MB = 1.0
"""The growth of a process after which it is measured exactly again."""

_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20 if hasattr(os, "sysconf") else 0.0


class MemoryMeter:
    """The memory that one function's process uses.

    The kernel visits each page of the process to say which of them it shares. That takes milliseconds, in which the
    emulator does nothing else. How large a process is, the kernel knows at once: so it is asked for the exact figure
    only if the process has grown since.
    """

    def __init__(self, pid: int, shared_mb: float = RUNTIME_MB) -> None:
        self._pid = pid
        self._shared_mb = shared_mb
        self._used = 0.0
        self._measured_at: float | None = None

    def used_mb(self) -> float:
        """Return about how many MB the process uses; 0 where this cannot be measured (not on Linux).

        The memory that it shares with other processes counts as `shared_mb`. Of the zygote, which has loaded the
        libraries of all functions, it shares more than it needs.
        """
        try:
            resident = _resident_mb(self._pid)
            if self._measured_at is None or resident > self._measured_at + _GROWTH_MB:
                self._used = self._shared_mb + _private_mb(self._pid)
                self._measured_at = resident
        except OSError:
            return 0.0
        return self._used


def _resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_MB


def _private_mb(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    # Without clean pages: files that are mapped. They are private only as long as nobody else runs the same program.
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_Dirty")) / 1024


class MemoryWatch:
    """The measurements of one process during one event. `on_exceeded` gets the MB in use, once, if they are too many.

    `used` is the most that was measured, in MB; None before the first measurement.
    """

    def __init__(self, meter: MemoryMeter, limit: float, clock: Clock, on_exceeded: Callable[[float], None]) -> None:
        self.used: float | None = None
        self._meter = meter
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
        used = self._meter.used_mb()
        self.used = max(used, self.used or 0.0)
        if used > self._limit:
            self._on_exceeded(used)
        else:
            self._timer = self._next()
