"""The terminal client with the keyboard and the screen of a test."""

import asyncio
import fcntl
import io
import os
import pty
import select
import subprocess
import sys
import termios
from contextlib import asynccontextmanager

from parley.client.session import Timing
from parley.client.terminal import chat
from rich.console import Console

from tests.support.chat_server import listening
from tests.support.waiting import HANGS

FAST = Timing(greeting=0.05, answer=2, ping_busy=0.05, ping_idle=0.2, silence=1.0, retries=(0.01, 0.01, 0.01))


class Terminal:
    """The other side of the client's keyboard and console: piped lines, and what was printed."""

    def __init__(self):
        self.keyboard, self._typing = os.pipe()
        self._printed = io.StringIO()
        self.console = Console(file=self._printed, width=80)

    def type(self, *lines):
        os.write(self._typing, "".join(f"{line}\n" for line in lines).encode())

    def close(self):
        os.close(self._typing)

    @property
    def shown(self):
        return self._printed.getvalue()

    async def shows(self, text):
        await until(lambda: text in self.shown)


async def piped(server, *lines, chat_id=None, costs=False):
    """Pipe these lines into the client, and return what it printed."""
    terminal = Terminal()
    terminal.type(*lines)
    terminal.close()
    async with listening(server) as url, asyncio.timeout(HANGS):
        await chat(url, "token", chat_id, terminal.console, keyboard=terminal.keyboard, timing=FAST, costs=costs)
    return terminal.shown


@asynccontextmanager
async def at_a_terminal(server):
    """Run the client beside the test, which types line by line; leave by the end of input."""
    terminal = Terminal()
    async with listening(server) as url, asyncio.timeout(HANGS):
        talking = asyncio.create_task(
            chat(url, "token", None, terminal.console, keyboard=terminal.keyboard, timing=FAST)
        )
        yield terminal
        terminal.close()
        await talking


_PROGRAM = "import sys; from parley.client.terminal import run; sys.exit(run(sys.argv[1], 'token'))"


class ClientProcess:
    """The client as a process with a terminal of its own, whose keys the test presses."""

    def __init__(self, url):
        self.keys, self._terminal = pty.openpty()
        self.modes_before = self.modes()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, url],
            stdin=self._terminal,
            stdout=self._terminal,
            stderr=self._terminal,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "dumb"},
        )
        self.shown = ""

    def modes(self):
        return termios.tcgetattr(self._terminal)

    async def shows(self, text):
        await until(lambda: text in self._read())

    async def ends(self):
        async with asyncio.timeout(HANGS):
            while self._process.poll() is None:
                self._read()
                await asyncio.sleep(0.01)
        self._read()
        return self._process.returncode

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self.keys)
        os.close(self._terminal)

    def _read(self):
        while select.select([self.keys], [], [], 0)[0]:
            self.shown += os.read(self.keys, 65536).decode(errors="replace")
        return self.shown


@asynccontextmanager
async def a_process(server):
    async with listening(server) as url:
        process = ClientProcess(url)
        try:
            yield process
        finally:
            process.close()


async def until(condition):
    async with asyncio.timeout(HANGS):
        while not condition():  # noqa: ASYNC110 - nothing to be told by
            await asyncio.sleep(0.01)
