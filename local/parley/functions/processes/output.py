"""The output of an environment, cut into lines. It is read at all times: a full pipe would block the process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

MAX_LINE_BYTES = 8 * 1024
"""The length at which a line is cut off."""

_READ_BYTES = 256 * 1024
_MAX_DRAIN_READS = 4
"""The number of reads that empty a pipe of the largest size, 1 MB; usually it holds 64 KB."""


class Output:
    """A pipe for a process's stdout and stderr. `on_line` gets each line that is not blank."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b""
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._reader, self._read)

    @property
    def writer(self) -> int:
        """The end to print into. This object closes it; pass on a duplicate."""
        return self._writer

    def drain(self) -> None:
        """Read the output until now, and do not wait for more."""
        for _ in range(_MAX_DRAIN_READS):
            if not self._read():
                break

    def close(self) -> None:
        """Read the rest and close both ends. A second call does nothing."""
        if self._reader < 0:
            return
        self.drain()
        self._emit(self._rest)
        self._loop.remove_reader(self._reader)
        os.close(self._reader)
        os.close(self._writer)
        self._reader = self._writer = -1

    def _read(self) -> bool:
        try:
            data = os.read(self._reader, _READ_BYTES)
        except BlockingIOError:
            return False
        # AWS's runtime puts "\r" between the lines of a traceback, so that CloudWatch shows it as one event.
        lines = (self._rest + data).splitlines(keepends=True)
        self._rest = b"" if not lines or lines[-1].endswith((b"\n", b"\r")) else lines.pop()[: MAX_LINE_BYTES + 1]
        for line in lines:
            self._emit(line)
        return bool(data)

    def _emit(self, line: bytes) -> None:
        text = line[:MAX_LINE_BYTES].decode("utf-8", "replace").replace("\u00a0", " ").rstrip()
        if text:
            self._on_line(f"{text} …" if len(line.rstrip()) > MAX_LINE_BYTES else text)
