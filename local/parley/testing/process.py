"""The emulator as a process of its own on a free port. It ends with the program that starts it, however that ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread
from typing import IO, cast

_COMMAND = (
    *("-c", "from parley.cli.main import main; main()", "up", "--port", "0"),
    *("--no-data", "--test-api", "--until-stdin-ends"),
)
_READY = "Parley is up on "
_STOP_SECONDS = 10
_KEPT_LINES = 10_000


class NotStarted(Exception):
    """The emulator did not start. The text is what it has printed."""


class EmulatorProcess:
    """A running emulator. `lines` are the last ones that it has printed, `url` is its address.

    `options` are options of `parley up`. With `log` everything that it prints is also written to this file. Raises
    `NotStarted`.
    """

    def __init__(
        self,
        options: Sequence[str],
        folder: Path,
        variables: Mapping[str, str] | None = None,
        log: IO[str] | None = None,
    ) -> None:
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.printed = 0
        self.url = ""
        self._log = log
        self._changed = Condition()
        self._ended = False
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, *_COMMAND, *options],
            cwd=folder,
            env={**os.environ, **(variables or {})},
            # The emulator ends when this pipe does. The system closes it, however we end.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # A terminal sends Ctrl-C to its whole session. What still runs needs the emulator.
            start_new_session=True,
        )
        self._reading = Thread(target=self._read, name="parley", daemon=True)
        self._reading.start()
        self._wait_until_ready()

    @property
    def runs(self) -> bool:
        """True if the emulator has not ended."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def since(self, printed: int) -> list[str]:
        """Return the kept lines that were printed after this many."""
        with self._changed:
            return list(self.lines)[max(0, len(self.lines) - (self.printed - printed)) :]

    def stop(self) -> None:
        """End the emulator."""
        with suppress(OSError):
            cast(IO[str], self._process.stdin).close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reading.join()

    def _wait_until_ready(self) -> None:
        try:
            with self._changed:
                self._changed.wait_for(lambda: self.url or self._ended)
        except BaseException:
            self.stop()
            raise
        if not self.url:
            self.stop()
            raise NotStarted("".join(self.lines).strip() or f"It ended with {self._process.returncode}.")

    def _read(self) -> None:
        """Read what the emulator prints, until it ends."""
        with cast(IO[str], self._process.stdout) as printed:
            for line in printed:
                self._take(line)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _keep(self, line: str) -> None:
        """Write a line to the log. Where that fails, as on a full disk, the emulator goes on without it."""
        if self._log is None:
            return
        try:
            self._log.write(line)
            self._log.flush()
        except (OSError, ValueError) as error:
            self._log = None
            print(f"parley: The log ends here, it cannot be written: {error}.", file=sys.stderr)

    def _take(self, line: str) -> None:
        self._keep(line)
        with self._changed:
            self.lines.append(line)
            self.printed += 1
            if line.startswith(_READY) and not self.url:
                self.url = line.removeprefix(_READY).split()[0]
                self._changed.notify_all()
