"""Processes that functions started and that have left the group of their environment. Linux only."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

_ADDRESS = "AWS_LAMBDA_RUNTIME_API"


def adopt() -> None:
    """Become the parent of processes whose parents end, so that they can be found.

    prctl(2), `PR_SET_CHILD_SUBREAPER`: Linux has it.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def end_all() -> None:
    """End all processes below this one, and wait until they have ended."""
    while found := _children():
        _end(found)


def end_those_of(variables: Mapping[str, str]) -> None:
    """End the processes of an environment that has ended, and wait until they have too. `variables` were its own.

    On AWS nothing outlives an environment. Here such a process would keep the port that it listens on, and the next
    environment could not have it. They are known by the address of their Runtime API, which each environment has for
    itself; one that was started without variables stays until all end.
    """
    if address := variables.get(_ADDRESS):
        mark = f"{_ADDRESS}={address}".encode()
        while found := [pid for pid in _children() if mark in _variables(pid)]:
            _end(found)


def _end(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _children() -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split()]
    except OSError:
        return []


def _variables(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
