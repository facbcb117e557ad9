"""The distribution of tests to workers (pytest-xdist)."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

REAL_TIME = {f"tests/faults/test_{name}.py" for name in ("quick", "random", "resume", "takeover")}
"""Files whose tests wait for leases and time-outs of real processes. Two at once would make each other late."""


class ByFile(LoadScopeScheduling):
    """Gives a whole file to one worker, so that its emulators start once; the real-time files all to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "real time" if file in REAL_TIME else file
