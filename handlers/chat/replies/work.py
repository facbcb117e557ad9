"""Work: the part of an attempt that is under way, an answer of the model or calls of tools, and the stop of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from handlers.chat.concurrency import Runtime


class Lost(Exception):
    """The turn is another worker's by now, or is gone with its chat."""


class HandedOn(Exception):
    """The next invocation goes on with the turn."""


class HandOnDue(Exception):
    """The next step is for another invocation. Whoever is under way ends first."""


class Work:
    """The work of an attempt, one part after the other. A stop ends the part that is under way, and each after it."""

    def __init__(self, runtime: Runtime) -> None:
        self._changed = runtime.condition()
        self._stopped = False
        self._stop_part: Callable[[], None] | None = None

    @property
    def is_stopped(self) -> bool:
        """True from the stop on."""
        with self._changed:
            return self._stopped

    @contextmanager
    def under_way(self, stop: Callable[[], None]) -> Iterator[None]:
        """Let a stop call `stop` while the body runs: at once if it has come before. It may come a moment late."""
        with self._changed:
            self._stop_part = stop
            stopped = self._stopped
        if stopped:
            stop()
        try:
            yield
        finally:
            with self._changed:
                self._stop_part = None

    def stop(self) -> None:
        """End the work. Safe from any thread."""
        with self._changed:
            self._stopped = True
            stop = self._stop_part
        if stop is not None:
            stop()
