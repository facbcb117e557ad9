"""Processes, by what Linux says of each in /proc."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def descendants(pid: int) -> set[int]:
    """Return all processes below this one."""
    parents = _parents()
    found: set[int] = set()
    frontier = {pid}
    while frontier:
        frontier = {child for child, parent in parents.items() if parent in frontier}
        found |= frontier
    return found


def children(pid: int) -> set[int]:
    """Return the processes that this one has started and that still run."""
    return {child for child, parent in _parents().items() if parent == pid}


def _parents() -> dict[int, int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                parents[int(entry.name)] = int(_fields(int(entry.name))[1])
    return parents


def state(pid: int) -> str:
    """Return the letter of a process's state: `T` if it stands still. Empty if it is gone."""
    with suppress(OSError, IndexError):
        return _fields(pid)[0]
    return ""


def threads_stand_still(pid: int) -> bool:
    """Tell if each thread of a process stands still, some time after SIGSTOP."""
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(thread.read_text().rpartition(")")[2].split()[0] == "T" for thread in threads)


def is_running(pid: int) -> bool:
    """Tell if a process runs or stands still. One that has ended does not, though nobody may have waited for it."""
    return state(pid) not in ("", "Z", "X")


def command(pid: int) -> str:
    """Return a process's program and its arguments. Empty if it is gone."""
    with suppress(OSError):
        return (Path("/proc") / str(pid) / "cmdline").read_text().replace("\0", " ")
    return ""


def _fields(pid: int) -> list[str]:
    """Return the fields of a process from its state on. Before them stands its name, which may have any character."""
    return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
