"""What an environment prints: read at all times, for a full pipe would freeze it, and cut into lines."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

LINE_BYTES = 8 * 1024
"""The most that is kept of one line."""

_READ_BYTES = 256 * 1024
_PIPE_READS = 4
"""Reads after which all that was in the pipe (64 KB, 1 MB at most) when the reading began has been read."""


class Output:
    """A pipe that takes a process's stdout and stderr. `on_line` gets each line that is not blank."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b""
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._reader, self._read)

    @property
    def writer(self) -> int:
        """The end to print into. It stays this object's own: pass a duplicate on."""
        return self._writer

    def drain(self) -> None:
        """Read what has been printed by now, and do not wait for more."""
        for _ in range(_PIPE_READS):
            if not self._read():
                break

    def close(self) -> None:
        """Read what is left and close both ends. Does nothing the second time."""
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
        # The traceback of an error comes with "\r" between its lines, so that CloudWatch shows it as one event.
        lines = (self._rest + data).splitlines(keepends=True)
        self._rest = b"" if not lines or lines[-1].endswith((b"\n", b"\r")) else lines.pop()[: LINE_BYTES + 1]
        for line in lines:
            self._emit(line)
        return bool(data)

    def _emit(self, line: bytes) -> None:
        text = line[:LINE_BYTES].decode("utf-8", "replace").replace("\u00a0", " ").rstrip()
        if text:
            self._on_line(f"{text} …" if len(line.rstrip()) > LINE_BYTES else text)
