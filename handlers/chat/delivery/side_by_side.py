"""Work on many things: some side by side, so many a second at most, and nothing more once the time is up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

from handlers.chat.concurrency import Runtime

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Pace:
    """The most things that are worked on at once, and the most that begin in a second."""

    at_once: int
    per_second: float


class SideBySide(Generic[Item]):
    """Calls `work` for one item after the other, in up to `pace.at_once` threads. The caller's thread is one of them.

    `go_on` is asked before each item but the first: when it returns False, no further item begins.
    """

    def __init__(
        self,
        items: Sequence[Item],
        work: Callable[[Item], None],
        pace: Pace,
        go_on: Callable[[], bool],
        runtime: Runtime,
    ) -> None:
        self._items = items
        self._work = work
        self._pace = pace
        self._go_on = go_on
        self._runtime = runtime
        self._lock = Lock()
        self._begun = 0
        self._next_at = runtime.monotonic()
        self._failure: Exception | None = None

    def run(self) -> int:
        """Return how many items are done: these are the first ones. Raises the first failure of `work`.

        After a failure no further item begins.
        """
        helpers = min(self._pace.at_once, len(self._items)) - 1
        threads = [self._runtime.start(self._work_off, f"side by side {number}") for number in range(helpers)]
        self._work_off()
        for thread in threads:
            thread.join()
        if self._failure is not None:
            raise self._failure
        return self._begun

    def _work_off(self) -> None:
        while (number := self._begin()) is not None:
            try:
                self._work(self._items[number])
            except Exception as failure:
                self._failure = self._failure or failure

    def _begin(self) -> int | None:
        """Take the number of the next item, and wait until it may begin. Return None if there is none."""
        with self._lock:
            number = self._begun
            if number == len(self._items) or self._failure is not None or (number and not self._go_on()):
                return None
            self._begun += 1
            now = self._runtime.monotonic()
            begins_at = max(self._next_at, now)
            self._next_at = begins_at + 1 / self._pace.per_second
        if begins_at > now:
            self._runtime.sleep(begins_at - now)
        return number
