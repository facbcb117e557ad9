"""The terminal client with the keyboard and the screen of a test."""

import asyncio
import codecs
import fcntl
import io
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from contextlib import asynccontextmanager

import pyte
from parley.client.timing import Timing
from parley.terminal.chat import chat
from parley.terminal.screen import PlainScreen
from rich.console import Console

from tests.support.chat_server import listening
from tests.support.waiting import HANGS

ROWS = 24
"""The height of the terminal of a test."""

FAST = Timing(greeting=0.05, answer=2, ping_busy=0.05, ping_idle=0.2, silence=1.0, retries=(0.01, 0.01, 0.01))


class Terminal:
    """The other side of the client's keyboard and console: piped lines, and what was printed."""

    def __init__(self):
        self.keyboard, self._typing = os.pipe()
        self._printed = io.StringIO()
        self.screen = PlainScreen(Console(file=self._printed, width=80), self.keyboard)

    def type(self, *lines):
        os.write(self._typing, "".join(f"{line}\n" for line in lines).encode())

    def close(self):
        os.close(self._typing)

    @property
    def shown(self):
        return self._printed.getvalue()

    async def shows(self, text):
        await until(lambda: text in self.shown)


async def piped(server, *lines, chat_id=None, **more):
    """Pipe these lines into the client, and return what it printed."""
    terminal = Terminal()
    terminal.type(*lines)
    terminal.close()
    async with listening(server) as url, asyncio.timeout(HANGS):
        await chat(url, "token", chat_id, terminal.screen, timing=FAST, **more)
    return terminal.shown


@asynccontextmanager
async def at_a_terminal(server):
    """Run the client beside the test, which types line by line; leave by the end of input."""
    terminal = Terminal()
    async with listening(server) as url, asyncio.timeout(HANGS):
        talking = asyncio.create_task(chat(url, "token", None, terminal.screen, timing=FAST))
        yield terminal
        terminal.close()
        await talking


_PROGRAM = "import sys; from parley.terminal.chat import run; sys.exit(run(sys.argv[1], 'token'))"


class ClientProcess:
    """The client as a process with a terminal of its own, whose keys the test presses.

    `shown` is all that it has printed, and `screen` the terminal that has obeyed it. A dumb one does nothing but print.
    """

    def __init__(self, url, term="dumb", columns=80):
        self.keys, self._terminal = pty.openpty()
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
        self.screen = pyte.Screen(columns, ROWS)
        self._obeying = pyte.ByteStream(self.screen)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.modes_before = self.modes()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, url],
            stdin=self._terminal,
            stdout=self._terminal,
            stderr=self._terminal,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": term},
        )
        self.shown = ""

    def modes(self):
        return termios.tcgetattr(self._terminal)

    def press(self, keys):
        os.write(self.keys, keys.encode())

    def resize(self, columns):
        self.screen.resize(ROWS, columns)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))

    def signal(self, number):
        self._process.send_signal(number)

    def hang_up(self):
        """Close the terminal, as its window does."""
        os.close(self._terminal)
        os.close(self.keys)
        self.keys = self._terminal = None

    async def shows(self, text):
        await until(lambda: text in self._read())

    async def displays(self, *lines):
        """Wait until the screen ends with these lines."""
        await until(lambda: self._read() is not None and self.display[-len(lines) :] == [*lines])

    @property
    def display(self):
        """The lines of the screen, without the empty ones below them."""
        lines = [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

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
        if self.keys is not None:
            self.hang_up()

    def _read(self):
        while self.keys is not None and select.select([self.keys], [], [], 0)[0]:
            printed = os.read(self.keys, 65536)
            self._obeying.feed(printed)
            self.shown += self._decoder.decode(printed)
        return self.shown


@asynccontextmanager
async def a_process(server, **terminal):
    async with listening(server) as url:
        process = ClientProcess(url, **terminal)
        try:
            yield process
        finally:
            process.close()


async def until(condition):
    async with asyncio.timeout(HANGS):
        while not condition():  # noqa: ASYNC110 - nothing to be told by
            await asyncio.sleep(0.01)
