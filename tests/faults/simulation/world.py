"""Virtual time, and processes of cooperating tasks that can be killed or frozen at any point where they wait.

Nothing here is random but what a seed decides, so a world can be lived through again.
"""

from __future__ import annotations

import contextvars
import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from uuid import UUID

from greenlet import getcurrent, greenlet

BEGINNING = datetime(2026, 11, 23, 12, tzinfo=UTC)


class SimulatedProcess:
    """The process of one invocation. Its clock may be wrong by `skew` seconds."""

    def __init__(self, world: SimulatedWorld, name: str, skew: float = 0.0) -> None:
        self.world, self.name, self.skew = world, name, skew
        self.dead = False
        self.frozen_until = 0.0

    def kill(self) -> None:
        """SIGKILL: none of its tasks ever runs again."""
        self.dead = True

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT so many seconds later."""
        self.frozen_until = self.world.time + seconds

    # What `handlers.chat.concurrency.Runtime` gives

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.world.time + self.skew)

    def new_id(self) -> str:
        """A UUIDv7 of this process's clock."""
        clock = int(self.now().timestamp() * 1000)
        return str(UUID(int=clock << 80 | 0x7 << 76 | 0b10 << 62 | next(self.world.numbers)))

    def start(self, work: Callable[[], None], name: str) -> SimulatedThread:
        context, thread = contextvars.copy_context(), SimulatedThread(self.world)
        self.world.spawn(self, lambda: thread.run(lambda: context.run(work)))
        return thread

    def condition(self) -> SimulatedCondition:
        return SimulatedCondition(self.world)

    def monotonic(self) -> float:
        return self.world.time

    def sleep(self, seconds: float) -> None:
        self.world.sleep(seconds)

    def jitter(self) -> float:
        return self.world.random.uniform(0.5, 1.0)


class SimulatedWorld:
    """Runs tasks, one at a time, in the order of their time; those of the same moment in a random order."""

    def __init__(self, seed: object) -> None:
        self.random = Random(repr(seed))
        self.time = 0.0
        self.numbers = count(1)
        self.failures: list[BaseException] = []
        self._order = count()
        self._due: list[tuple[float, float, int, greenlet | Callable[[], None], object]] = []
        self._owners: dict[greenlet, SimulatedProcess] = {}
        self._woken: dict[greenlet, object] = {}
        self._graves: list[greenlet] = []

    def process(self, name: str, skew: float = 0.0) -> SimulatedProcess:
        return SimulatedProcess(self, name, skew)

    @property
    def current(self) -> SimulatedProcess:
        """The process of the task that runs now."""
        return self._owners[getcurrent()]

    def spawn(self, process: SimulatedProcess, work: Callable[[], None], after: float = 0.0) -> None:
        """Run something in a process, in a task of its own."""

        def run() -> None:
            try:
                self._call(work)
            finally:
                self._owners.pop(task, None)

        task = greenlet(run, parent=getcurrent().parent or getcurrent())
        self._owners[task] = process
        self._push(task, self.time + after, None)

    def later(self, after: float, work: Callable[[], None]) -> None:
        """Run something outside all processes. It must not wait, so it needs no task: most events are of this kind."""
        self._push(work, self.time + after, None)

    def sleep(self, seconds: float) -> None:
        """Let the running task wait for so much time."""
        self.wait(seconds)

    def wait(self, seconds: float | None) -> bool:
        """Let the running task wait until it is woken; False where the time, if any, was up first."""
        token = object()
        task = getcurrent()
        self._woken[task] = token
        if seconds is not None:
            self._push(task, self.time + max(0.0, seconds), token)
        return bool(task.parent.switch())

    def wake(self, task: greenlet) -> None:
        """End a task's waiting."""
        token = self._woken.pop(task, None)
        if token is not None:
            self._push(task, self.time, True)

    def _push(self, task: greenlet | Callable[[], None], at: float, signal: object) -> None:
        heapq.heappush(self._due, (at, self.random.random(), next(self._order), task, signal))

    def _call(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self.failures.append(error)

    def run(self, until: float) -> None:
        """Let time pass up to a moment."""
        while self._due and self._due[0][0] <= until:
            at, _, _, task, signal = heapq.heappop(self._due)
            if not isinstance(task, greenlet):
                self.time = max(self.time, at)
                self._call(task)
                continue
            if task.dead:
                continue
            process = self._owners[task]
            if process.dead:
                # Not resumed and not collected either: SIGKILL runs no `finally`.
                self._graves.append(task)
                continue
            if process.frozen_until > at:
                self._push(task, process.frozen_until, signal)
                continue
            if signal is not True and signal is not None and self._woken.get(task) is not signal:
                continue  # woken before its time was up
            self.time = max(self.time, at)
            if signal is not True:
                self._woken.pop(task, None)
            task.switch(signal is True) if task else task.switch()
        self.time = max(self.time, until)


class SimulatedThread:
    """A `threading.Thread` that can be waited for."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._changed = SimulatedCondition(world)
        self._over = False

    def run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self._over = True
            self._changed.notify_all()

    def join(self, timeout: float | None = None) -> None:
        self._changed.wait_for(lambda: self._over, timeout)


class SimulatedCondition:
    """A `threading.Condition`: nobody else runs between two waits, so there is nothing to lock."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._world = world
        self._waiting: list[greenlet] = []

    def __enter__(self) -> SimulatedCondition:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self, timeout: float | None = None) -> bool:
        self._waiting.append(task := getcurrent())
        woken = self._world.wait(timeout)
        if task in self._waiting:
            self._waiting.remove(task)
        return woken

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        end = None if timeout is None else self._world.time + timeout
        while not (result := predicate()):
            if end is not None and self._world.time >= end:
                break
            self.wait(None if end is None else end - self._world.time)
        return result

    def notify_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            self._world.wake(task)
