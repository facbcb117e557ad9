"""Every interleaving of some tasks that use one store: each waits before each of its calls until it is its turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

from greenlet import getcurrent, greenlet

PARTS = ("users", "connections", "chats", "messages", "turns", "steps", "branches")


class SteppedStore:
    """A store whose caller waits before each call. Calls from outside a task do not wait."""

    def __init__(self, store: Any) -> None:
        for part in PARTS:
            if hasattr(store, part):
                setattr(self, part, _SteppedPart(getattr(store, part)))
        self.attachments = store.attachments


class _SteppedPart:
    def __init__(self, part: Any) -> None:
        self._part = part

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._part, name)

        def call(*arguments: Any, **more: Any) -> Any:
            if (scheduler := getcurrent().parent) is not None:
                scheduler.switch()
            return operation(*arguments, **more)

        return call


def interleave(
    tasks: Sequence[Callable[[], None]], choose: Callable[[int], int], after_each: Callable[[], None]
) -> None:
    """Run tasks to their ends. Before each step, `choose` gets the number of tasks that may go on, and returns one."""
    running = [greenlet(task) for task in tasks]
    while running:
        task = running[choose(len(running)) if len(running) > 1 else 0]
        task.switch()
        if task.dead:
            running.remove(task)
        after_each()


def schedules() -> Iterator[Callable[[int], int]]:
    """Yield a `choose` for every schedule, as long as the tasks of each are the same."""
    path: list[list[int]] = []  # for each decision: what was chosen, and of how many
    while True:
        steps = count()

        def choose(ready: int, steps: Iterator[int] = steps) -> int:
            step = next(steps)
            if step == len(path):
                path.append([0, ready])
            return path[step][0]

        yield choose
        while path and path[-1][0] + 1 == path[-1][1]:
            path.pop()
        if not path:
            return
        path[-1][0] += 1
