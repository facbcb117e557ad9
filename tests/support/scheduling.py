"""The distribution of tests to workers (pytest-xdist)."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

REAL_TIME = frozenset(
    f"tests/faults/test_{name}.py"
    for name in ("chaos_processes", "quick", "random", "resume", "takeover", "tool_takeover")
)
"""Files whose tests wait for leases and time-outs of real processes, more than they compute. So one worker has all of
them: the others keep the cores busy meanwhile. At once, they would also make each other late."""


class ByFile(LoadScopeScheduling):
    """Gives a whole file to one worker, so that its emulators start once; all files of `REAL_TIME` to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "real time" if file in REAL_TIME else file
