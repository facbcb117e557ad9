"""Waiting for a condition of another thread or process."""

import time
from collections.abc import Callable

HANGS = 300.0
"""Seconds after which whatever a test waits for hangs. No machine that runs the tests is as slow, however busy."""

IDLE = int(HANGS)
"""Seconds that a test's HTTP server keeps an idle connection. uvicorn's 5 end while a busy machine is elsewhere, and
then the client's next request meets the end."""


def until(condition: Callable[[], object], seconds: float = HANGS) -> None:
    """Wait until a condition holds. Raise AssertionError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
