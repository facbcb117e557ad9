"""How much memory an environment uses, and what becomes of one that uses more than its function has."""

from __future__ import annotations

from pathlib import Path

RUNTIME_MB = 40.0
"""What Python and AWS's runtime take on AWS; here they are shared with the process that was forked."""

LOOK_SECONDS = 0.25
"""Between two looks, while an event is handled: one that is handled faster is not looked at."""


def used(pid: int) -> float:
    """Return the MB that a process of a function's uses, about; 0 where that cannot be told (not on Linux).

    What it shares with the process that it was forked from, libraries above all, is not counted but for `RUNTIME_MB`:
    it is more than this function needs, for it is what all functions need.
    """
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0.0
    private = sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_"))
    return RUNTIME_MB + private / 1024
