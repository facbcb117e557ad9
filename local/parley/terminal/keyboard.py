"""Keyboard input: lines, typed or piped, and Ctrl-C. Blocks neither the event loop nor the end of the process."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

CHUNK_BYTES = 65536


async def read_lines(descriptor: int, intercept: Callable[[str], bool]) -> AsyncIterator[str]:
    """Yield each line without its line break, until the end of input (Ctrl-D in a terminal).

    Each line first goes to `intercept`, at once when it arrives. If that returns True, the line is not yielded.

    A daemon thread waits in `os.read`. To wait in `sys.stdin` would lock it, and the interpreter aborts if that lock is
    held at its end. The end of the process would wait for a thread of the default executor.
    """
    arrived: asyncio.Queue[str | None] = asyncio.Queue()

    def on_line(line: str | None) -> None:
        if line is None or not intercept(line):
            arrived.put_nowait(line)

    reader = threading.Thread(
        target=_read_in_thread, args=(descriptor, asyncio.get_running_loop(), on_line), daemon=True, name="keyboard"
    )
    reader.start()
    while (line := await arrived.get()) is not None:
        yield line


def _read_in_thread(descriptor: int, loop: asyncio.AbstractEventLoop, on_line: Callable[[str | None], None]) -> None:
    def put(line: str | None) -> None:
        loop.call_soon_threadsafe(on_line, line)

    rest = b""
    with suppress(RuntimeError):  # the event loop is closed
        while chunk := _read_chunk(descriptor):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                put(_decode(line))
        if rest:
            put(_decode(rest))
        put(None)


def _read_chunk(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, CHUNK_BYTES)
    except OSError:  # the terminal was closed
        return b""


def _decode(line: bytes) -> str:
    return line.rstrip(b"\r").decode(errors="replace")


@contextmanager
def on_signals(callbacks: Mapping[str, Callable[[], None]]) -> Iterator[None]:
    """Call a callback in the event loop at each signal of its name, such as SIGINT for Ctrl-C.

    Where signal handlers are not possible, Ctrl-C raises KeyboardInterrupt as usual.
    """
    loop = asyncio.get_running_loop()
    handled: list[int] = []
    try:
        for name, callback in callbacks.items():
            number = getattr(signal, name, None)
            with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows; not the main thread
                if number is not None:
                    loop.add_signal_handler(number, callback)
                    handled.append(number)
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
