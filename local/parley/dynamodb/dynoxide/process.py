"""The process of Dynoxide: started beside a guardian, watched, and ended with the emulator, however that ends."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, cast

from parley.dynamodb.dynoxide.syncing import without_waits
from parley.dynamodb.engine import Within
from parley.errors import StartError

START_SECONDS = 60
_ATTEMPTS = 5
"""Addresses that are tried: another program may take a port between our look at it and the engine's."""

_GUARDIAN = """
folder=$1; shift
/bin/sh -c 'echo "engine $$"; exec "$@"' "$0" "$@" </dev/null 2>&1 &
engine=$!
exec >/dev/null 2>&1
read -r after
kill -9 "$engine"
wait "$engine"
status=$?
[ "$after" = keep ] || [ -z "$folder" ] || rm -rf -- "$folder"
exit "$status"
"""
"""A shell beside the engine. It reads from a pipe whose other end only the emulator holds.

When the emulator ends, also by SIGKILL, the system closes that end. Then the shell ends the engine and removes its
data. Linux could send the engine a signal at the end of its parent (PR_SET_PDEATHSIG); macOS cannot. Both have pipes.
The engine's process prints its own number before it becomes the engine: printed by the shell beside it, the number came
between two parts of the engine's first line on a busy machine.
"""

_MAX_LINE_BYTES = 64 * 1024
_PANIC = re.compile(r"panicked at ([\w./-]+:\d+)")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder in it gets a random name, and only we may read it
_ENOUGH_SHARED_BYTES = 1 << 30
TABLES_FILE = "tables.db"


@dataclass(frozen=True, slots=True)
class Data:
    """The place of the engine's data. With `keeps` they stay there after its end.

    `lock` is a descriptor that the engine holds too: who waits for its lock then knows that the engine has ended.
    """

    folder: Path
    keeps: bool = False
    lock: int | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the database: those that are written first come first."""
        return self.folder / f"{TABLES_FILE}-wal", self.folder / TABLES_FILE


class EngineProcess:
    """One run of the engine, in the process `pid`. `ended` is set when it has ended, by itself or by `end`."""

    def __init__(self, guardian: subprocess.Popen[bytes], host: str, port: int) -> None:
        self.host, self.port = host, port
        self.pid = 0
        self.ended = asyncio.Event()
        self.output: deque[str] = deque(maxlen=20)
        self._guardian = guardian
        self._listening: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read(cast(IO[bytes], guardian.stdout)))

    async def listens(self, within: Within) -> bool:
        """Wait until the engine listens. Return False if it ends instead, or takes too long."""
        await within(START_SECONDS, self._listening)
        return self._listening.done() and self._listening.result()

    async def _read(self, pipe: IO[bytes]) -> None:
        """Read what the engine prints, until it has ended: nobody else holds the other end of this pipe."""
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
        rest = b""
        while printed := await reader.read(_MAX_LINE_BYTES):
            *lines, rest = (rest + printed).split(b"\n")
            rest = rest[:_MAX_LINE_BYTES]
            for line in lines:
                self._take(line.decode(errors="replace").rstrip())
        self._take(rest.decode(errors="replace").rstrip())
        transport.close()
        self.ended.set()
        if not self._listening.done():
            self._listening.set_result(False)

    def _take(self, line: str) -> None:
        if line.startswith("engine ") and not self.pid:
            self.pid = int(line.removeprefix("engine "))
        elif line:
            self.output.append(line)
        if self.pid and "listening on" in " ".join(self.output) and not self._listening.done():
            self._listening.set_result(True)

    async def end(self, *, keep: bool = False) -> str:
        """End the engine if it runs, and return how it ended. With `keep` its data stay, for another run."""
        pipe = cast(IO[bytes], self._guardian.stdin)
        if not pipe.closed:
            with suppress(OSError):  # the guardian is gone
                pipe.write(b"keep\n" if keep else b"\n")
            pipe.close()
        status = await asyncio.to_thread(self._guardian.wait)
        if status < 0:  # somebody has killed the guardian: it has not ended the engine
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        await self._reading
        return self._how(status)

    def _how(self, status: int) -> str:
        panics = [found[1] for line in self.output if (found := _PANIC.search(line))]
        if panics:
            return f"it panicked at {panics[-1]}"
        number = -status if status < 0 else status - 128
        with suppress(ValueError):
            return f"it was ended by {signal.Signals(number).name}"
        return f"it ended with status {status}"


def temporary_data() -> Data | None:
    """Return a new folder for the engine's data, in shared memory; None where there is not plenty of that.

    Never on disk: the engine waits for the disk at each write (`fsync`), which takes many times as long as the write.
    """
    with suppress(OSError):
        if shutil.disk_usage(_SHARED_MEMORY).free >= _ENOUGH_SHARED_BYTES:
            return Data(Path(tempfile.mkdtemp(prefix="parley-dynamodb-", dir=_SHARED_MEMORY)))
    return None


async def start(binary: Path, data: Data | None, within: Within) -> EngineProcess:
    """Start the engine on data in a folder, and wait until it listens. Raises `StartError` with what it has printed.

    Without a folder the data are in the engine's own memory, and are gone when it ends.
    """
    file = ("--db-path", str(data.folder / TABLES_FILE)) if data else ()
    for _ in range(_ATTEMPTS):
        host, port = _free_address()
        options = ("serve", "--host", host, "--port", str(port), *file)
        try:
            starting = partial(_guardian, data, binary, options)
            guardian = without_waits(starting) if data and data.keeps else starting()
        except OSError as error:
            raise StartError(f"Dynoxide, the DynamoDB engine, cannot be run: {error}") from None
        process = EngineProcess(guardian, host, port)
        if await process.listens(within):
            return process
        how = await process.end(keep=True)
        if "already in use" not in " ".join(process.output):
            break
    printed = " ".join(process.output) or "nothing"
    raise StartError(f"Dynoxide, the DynamoDB engine, did not start: {how}. It printed: {printed}")


def _guardian(data: Data | None, binary: Path, options: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the shell that runs the engine. Raises `OSError`.

    Not by the event loop: uvloop gives a process further descriptors of its pipes, beside its first three. The shell
    would keep them, and then the end of the engine would not be the end of what it prints.
    """
    removed = str(data.folder) if data and not data.keeps else ""
    return subprocess.Popen(  # noqa: S603 - the engine that we have installed, or the developer's own
        ("/bin/sh", "-c", _GUARDIAN, "parley-dynamodb", removed, str(binary), *options),
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        pass_fds=() if data is None or data.lock is None else (data.lock,),
        # A terminal sends Ctrl-C to its whole session. Functions that still run need their tables.
        start_new_session=True,
    )


def _free_address() -> tuple[str, int]:
    """Return a loopback address and a free port there.

    Web pages may call the engine, for it allows them to. On Linux all of 127.0.0.0/8 is this machine, so the address is
    one that no page can find by trying.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            return _bound(f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}")
    return _bound("127.0.0.1")


def _bound(host: str) -> tuple[str, int]:
    with socket.create_server((host, 0)) as listener:
        return host, listener.getsockname()[1]
