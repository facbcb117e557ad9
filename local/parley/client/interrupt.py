"""Ctrl-C, as something to answer."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def on_interrupt(callback: Callable[[], None]) -> Iterator[None]:
    """Call this in the event loop at each Ctrl-C. Where a system cannot, Ctrl-C raises KeyboardInterrupt as ever."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGINT, callback)
    except (NotImplementedError, RuntimeError, ValueError):  # Windows; not the main thread
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
