"""The memory that this machine has left, and how many environments it allows."""

from __future__ import annotations

import math
from pathlib import Path

_ENVIRONMENT_MB = 30.0
"""The memory of one of Parley's environments beside what it shares (docs/benchmarks.md, "The whole emulator")."""


def available_mb() -> float:
    """Return how many MB new processes can have; infinite where that is unknown (not on Linux)."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return math.inf


def most_environments() -> int:
    """Return how many environments one function may have: a quarter of the memory that is left, 10 to 50."""
    return int(max(10, min(50, available_mb() / 4 / _ENVIRONMENT_MB)))
