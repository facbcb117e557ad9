"""Environments without processes, which a test starts and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from parley.functions.environment import State
from parley.functions.invocation import Invocation
from parley.functions.pool import Pool, Starts
from parley.template.model import LATEST, Function
from parley.trace import Trace

from tests.support.clock import ManualClock, settle

_FUNCTION = Function("f", "f.handler", Path(), 3.0, 128, {})


class StubEnvironment:
    """Starts when `started` is called, and handles its event until the test sets `done`."""

    def __init__(self, on_started: Callable[[], None]) -> None:
        self.state = State.STARTING
        self.idle_since = 0.0
        self.started = asyncio.Event()
        self.done = asyncio.Event()
        self.ended = False
        self.events: list[str] = []
        self._on_started = on_started

    async def start(self, invocation: Invocation) -> None:
        await self.started.wait()
        self._on_started()
        self.state = State.READY

    async def run(self, invocation: Invocation) -> str:
        self.events.append(invocation.request_id)
        if self.state is State.STARTING:
            await self.start(invocation)
        self.state = State.BUSY
        await self.done.wait()
        self.done.clear()
        self.state = State.READY
        return invocation.request_id

    def retire(self) -> None:
        self.ended = True


class StubPool:
    """A pool of such environments. `made` are all of them; `events` are the tasks of the events, by their names."""

    def __init__(self, starts: Starts, clock: ManualClock, size: int = 10) -> None:
        self.made: list[StubEnvironment] = []
        self.events: dict[str, asyncio.Task[str]] = {}
        self.pool = Pool(self._make, size, starts, Trace(), clock)  # type: ignore[arg-type]

    def _make(self, on_started: Callable[[], None]) -> StubEnvironment:
        self.made.append(StubEnvironment(on_started))
        return self.made[-1]

    async def put(self, *events: str) -> None:
        for event in events:
            invocation = _invocation(event)
            self.events[event] = asyncio.create_task(self.pool.run(invocation))  # type: ignore[arg-type]
        await settle()

    async def warm(self, *, stays: bool = True) -> object:
        return await self.pool.warm(_invocation("ahead"), stays=stays)

    async def start(self, environment: int) -> None:
        self.made[environment].started.set()
        await settle()

    async def end(self, environment: int) -> None:
        self.made[environment].done.set()
        await settle()

    def handled(self) -> list[list[str]]:
        """Return the events that each environment has got."""
        return [each.events for each in self.made]


def _invocation(name: str) -> Invocation:
    return Invocation(_FUNCTION, b"", name, "gateway", LATEST, LATEST)
