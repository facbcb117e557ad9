"""The distribution of tests to workers (pytest-xdist)."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

REAL_TIME = {
    "tests/faults/test_chaos_processes.py": "takeovers",
    "tests/faults/test_quick.py": "quick faults",
    "tests/faults/test_random.py": "takeovers",
    "tests/faults/test_resume.py": "takeovers",
    "tests/faults/test_takeover.py": "takeovers",
}
"""Files whose tests wait for leases and time-outs of real processes, and their group. They wait more than they compute,
but all of them at once would make each other late."""


class ByFile(LoadScopeScheduling):
    """Gives a whole file to one worker, so that its emulators start once; the files of a group all to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return REAL_TIME.get(file, file)
