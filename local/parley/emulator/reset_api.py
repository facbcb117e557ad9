"""The requests of tests to an emulator: to be as it was at its start, and to let time pass at once."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

from parley.asgi import Response
from parley.aws_services import AwsServices, Resources
from parley.clock import MovableClock, settle
from parley.dynamodb.emptying import NotEmptied, empty
from parley.dynamodb.engine import Database
from parley.emulator.abort import ConnectionAborted
from parley.emulator.event_sources import EventSources
from parley.functions.service import Functions
from parley.gateway.websocket.management_api import ManagementApi
from parley.template.model import Template

GRACE_SECONDS = 0.5
"""The time that running functions have to end before their environments are killed."""

_END_SECONDS = 5.0
"""The time after which functions that nobody can kill, threads, are left alone."""

_MAX_ADVANCE = 10 * 366 * 86_400.0


class _BadOrder(Exception):
    """A request that is none of these. The text says what it must be."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the emulator that hold what a test leaves behind.

    `work` returns the tasks that run outside of functions. `forget` are called when nothing runs any more. `ready` is
    the event that requests wait for.
    """

    clock: MovableClock
    functions: Functions
    management_api: ManagementApi
    sources: EventSources
    services: AwsServices
    database: Database
    template: Template
    users: Collection[str]
    work: Callable[[], Collection[asyncio.Task[Any]]]
    forget: Collection[Callable[[], None]]
    ready: asyncio.Event


class ResetApi:
    """The requests of tests. Only an emulator that is started for tests has them: a reset empties every table.

    `orders` are the functions that answer them, by the names that their paths end with. Who replaces `parts` has
    `one_at_a_time` meanwhile.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.orders = {"reset": self.reset, "clock": self.clock}
        self.one_at_a_time = asyncio.Lock()
        self._calls: set[asyncio.Task[Response]] = set()

    async def call(self, work: Callable[[], Awaitable[Response]]) -> Response:
        """Return what a call of a service returns. Raises `ConnectionAborted` if a reset ends it."""
        task = asyncio.ensure_future(_awaited(work))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        await asyncio.wait([task])
        if task.cancelled():
            raise ConnectionAborted
        return task.result()

    async def reset(self, method: str, body: bytes) -> Response:
        """Answer a request to reset the emulator."""
        if method != "POST":
            return _only("POST")
        try:
            order = _order(body, "environments")
            if order.get("environments", "keep") not in ("keep", "end"):
                raise _BadOrder("environments must be keep or end")
            async with self.one_at_a_time:
                return Response.of_json(200, await self._reset(ends=order.get("environments") == "end"))
        except _BadOrder as error:
            return Response.of_json(400, {"message": str(error)})
        except NotEmptied as error:
            return Response.of_json(500, {"message": f"The tables were not emptied: {error}"})

    async def clock(self, method: str, body: bytes) -> Response:
        """Answer a request for the clock: `GET` reads it, `POST` lets time pass."""
        clock = self.parts.clock
        if method not in ("GET", "POST"):
            return _only("GET, POST")
        try:
            seconds = _order(body, "advance").get("advance") if method == "POST" else 0
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _MAX_ADVANCE:
                raise _BadOrder("advance must be a number of seconds from 0 to ten years")
        except _BadOrder as error:
            return Response.of_json(400, {"message": str(error)})
        if method == "POST":
            async with self.one_at_a_time:
                await clock.advance(seconds)
        return Response.of_json(200, {"time": clock.time(), "ahead": clock.ahead})

    async def _reset(self, *, ends: bool) -> dict[str, Any]:
        parts, began = self.parts, time.perf_counter()
        parts.sources.stop()
        # What a test did last, such as to close a connection, has happened before its reset.
        await settle()
        closed = await self._wait_for_functions()
        ended = await self._end_functions()
        running = len(parts.functions.work)
        await self._end_calls()
        if ends:
            parts.functions.end_idle()
        parts.ready.clear()
        try:
            parts.clock.reset()
            for forget in parts.forget:
                forget()
            await asyncio.gather(self._empty_services(), empty(parts.database, parts.template, parts.users))
        finally:
            parts.ready.set()
            await parts.sources.start()
        milliseconds = round((time.perf_counter() - began) * 1000, 1)
        return {"milliseconds": milliseconds, "closed": closed, "ended": ended, "running": running}

    async def _wait_for_functions(self) -> int:
        """Close the connections, and give running functions time to end. Return how many connections were open."""
        parts, closed = self.parts, 0
        deadline = time.monotonic() + GRACE_SECONDS
        while True:
            parts.functions.drop_events()
            closed += await parts.management_api.reset()
            # A handler of a message may go on after its function: it sends the answer.
            running = {*parts.functions.work, *parts.work()}
            left = deadline - time.monotonic()
            if not running or left <= 0:
                return closed
            await asyncio.wait(running, timeout=left)

    async def _end_functions(self) -> list[str]:
        """Kill the environments whose functions still run. Return the names of these functions."""
        functions, ended = self.parts.functions, set[str]()
        deadline = time.monotonic() + _END_SECONDS
        while functions.work and (ended or time.monotonic() < deadline):
            functions.drop_events()
            # Again and again: an invocation that has waited for an environment starts another one.
            ended.update(functions.end_running())
            await asyncio.wait(set(functions.work), timeout=0.05)
        await self.parts.management_api.reset()
        return sorted(ended)

    async def _end_calls(self) -> None:
        """End what functions have left behind: calls that a service carries out, and what a fault holds back."""
        # A call that a service has got is not taken back: it must be over before the tables are emptied.
        if self._calls:
            await asyncio.wait(set(self._calls), timeout=GRACE_SECONDS)
        tasks = {*self.parts.work(), *self._calls}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _empty_services(self) -> None:
        await self.parts.services.clear()
        await self.parts.services.provision(Resources.of(self.parts.template))


async def _awaited(work: Callable[[], Awaitable[Response]]) -> Response:
    return await work()


def _order(body: bytes, key: str) -> dict[str, Any]:
    """Return the request's JSON, which may have one key. Raises `_BadOrder`."""
    try:
        order = json.loads(body or b"{}", parse_constant=lambda _: math.nan)
    except (ValueError, RecursionError) as error:
        raise _BadOrder(f"The request is not JSON: {error}") from None
    if not isinstance(order, dict) or not order.keys() <= {key}:
        raise _BadOrder(f"The request must be an object with the key {key}")
    return order


def _only(methods: str) -> Response:
    return Response.of_json(405, {"message": methods}, {"allow": methods})
