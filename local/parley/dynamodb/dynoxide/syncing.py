"""The engine's waits for the disk, left out; the emulator flushes its files every few seconds instead.

SQLite waits for the disk at each commit (`fsync`), which takes ten times as long as the write. Data that a process has
written survive its end without that: they are the kernel's. So for the engine `fsync` does nothing, by a filter of
system calls, as `systemd-nspawn --suppress-sync` does it (https://man7.org/linux/man-pages/man1/systemd-nspawn.1.html).
Where there is no such filter, the engine waits: the data are as safe, and a write is slower.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
import struct
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TypeVar

from parley.dynamodb.engine import Within

FLUSH_SECONDS = 5.0

_CALLS = {"x86_64": (0xC000003E, 74, 75), "aarch64": (0xC00000B7, 82, 83)}
"""By machine: its number in filters (AUDIT_ARCH_…), and the numbers of fsync and fdatasync."""

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _SUCCEED = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with the error 0

T = TypeVar("T")


def without_waits(start: Callable[[], T]) -> T:
    """Return what `start` returns; a process that it starts does not wait for the disk, if this can be had.

    The filter is that of a thread, and of the processes which that thread starts. So it ends with a thread of its own.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        with suppress(OSError, AttributeError):
            _filter_calls_of_this_thread()
        try:
            results.append(start())
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=run, name="dynamodb-start")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _filter_calls_of_this_thread() -> None:
    if sys.platform != "linux" or platform.machine() not in _CALLS:
        return
    architecture, *calls = _CALLS[platform.machine()]
    program = b"".join(
        struct.pack("HBBI", *each)
        for each in (
            (_LOAD, 0, 0, 4),  # the architecture of the call
            (_JUMP_IF_EQUAL, 0, 3, architecture),
            (_LOAD, 0, 0, 0),  # its number
            (_JUMP_IF_EQUAL, 2, 0, calls[0]),
            (_JUMP_IF_EQUAL, 1, 0, calls[1]),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _SUCCEED),
        )
    )
    code = ctypes.create_string_buffer(program, len(program))
    described = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, described, 0, 0):
        raise OSError(ctypes.get_errno(), "no filter of system calls")


def flush(files: Iterable[Path]) -> None:
    """Wait until what any process has written to these files is on the disk."""
    for file in files:
        with suppress(OSError):
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


async def flush_again_and_again(
    files: Iterable[Path], within: Within, stopping: asyncio.Future[None], on_gone: Callable[[], None]
) -> None:
    """Flush files of one folder every few seconds if they have changed, and once more at the end.

    `on_gone` is called once if the folder has been removed: a process that has the files open writes on all the same.
    """
    files, before, stops, is_gone = tuple(files), 0, False, False
    while not stops:
        stops = await within(FLUSH_SECONDS, stopping)
        if not is_gone and not all(each.parent.exists() for each in files):
            is_gone = True
            on_gone()
        changed = max((each.stat().st_mtime_ns for each in files if each.exists()), default=0)
        if changed != before:
            before = changed
            await asyncio.to_thread(flush, files)
