"""The environments of one function: how many there are, and the one that takes an event."""

from __future__ import annotations

import asyncio
import math
import os
from collections import deque
from collections.abc import Callable

from parley.clock import Clock
from parley.functions.environment import Environment, State
from parley.functions.invocation import FunctionResponse, Invocation, Outcome
from parley.trace import Trace

IDLE_SECONDS = 300.0
"""The time without an event after which an environment is ended. On AWS it is some minutes, not documented."""

_START_SECONDS = 1.0
"""The time after which a start does not count any more: it waits for something else than the processor."""


class Starts:
    """The starts that run now, for all functions together: at most one for each processor core.

    A start is work for a processor. More at the same time would all end later, and the events that wait for them would
    wait longer than for an environment that is ready meanwhile.
    """

    def __init__(self, clock: Clock, limit: int | None = None) -> None:
        self._clock = clock
        self._limit = limit or os.cpu_count() or 1
        self._running = 0
        self._waiting: deque[Callable[[], object]] = deque()

    def begin(self, retry: Callable[[], object]) -> Callable[[], None] | None:
        """Begin a start, and return what to call at its end; that may be called more than once.

        Return None if it must wait. Then `retry` is called when it may begin, in the order of those who wait.
        """
        if self._running >= self._limit:
            if retry not in self._waiting:
                self._waiting.append(retry)
            return None
        self._running += 1
        ended = False

        def end() -> None:
            nonlocal ended
            if not ended:
                ended = True
                timer.cancel()
                self._running -= 1
                self._go_on()

        timer = self._clock.call_later(_START_SECONDS, end)
        return end

    def _go_on(self) -> None:
        while self._waiting and self._running < self._limit:
            self._waiting.popleft()()


class Pool:
    """The environments of one version of a function.

    An invocation takes the environment that was used last. If none is free it starts one, and if there are `size`
    already it waits. While others start, it also takes one that becomes free. Of the environments that are idle for
    long, all but one are ended: a developer's next message finds that one warm.
    """

    def __init__(
        self, make: Callable[[Callable[[], None]], Environment], size: int, starts: Starts, trace: Trace, clock: Clock
    ) -> None:
        self._make = make
        self._size = size
        self._starts = starts
        self._trace = trace
        self._clock = clock
        self.last_used = 0.0
        self._in_use: set[Environment] = set()
        self._outdated: set[Environment] = set()
        self._idle: list[Environment] = []
        self._running: set[Environment] = set()
        self._start_ended = asyncio.Event()
        self._waiting: deque[asyncio.Future[Environment]] = deque()
        self._watched = False

    async def run(self, invocation: Invocation) -> Outcome:
        """Let an environment handle an event."""
        if len(self._in_use) >= self._size:
            name, request_id = invocation.function.name, invocation.request_id
            self._trace.record("wait", function=name, request_id=request_id, environments=self._size)
        environment = await self._get()
        self.last_used = self._clock.time()
        self._running.add(environment)
        try:
            return await environment.run(invocation)
        finally:
            self._running.discard(environment)
            self._put_back(environment)

    async def warm(self, invocation: Invocation, *, stays: bool = True) -> FunctionResponse | None:
        """Start an environment before the first event. Return the error if it does not become ready.

        If one is in use already, wait until it has started. If this one does not stay it ends, unless an event waits.
        """
        if current := self._in_use - self._outdated:
            if all(each.state is State.STARTING for each in current):
                self._start_ended.clear()
                await self._start_ended.wait()
            return None
        environment = await self._get()
        try:
            return await environment.start(invocation) if environment.state is State.STARTING else None
        finally:
            if not stays and not self._waiting:
                self._outdated.add(environment)
            self._put_back(environment)

    async def _get(self) -> Environment:
        # Those who wait are served in their order. AWS would answer them with 429 at the account's limit; here that
        # limit is the developer's machine, so they wait.
        place: asyncio.Future[Environment] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._serve()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._put_back(place.result())
            raise

    def _serve(self) -> None:
        """Give environments to those who wait, as far as there are idle ones, or as others may be started."""
        while self._waiting and len(self._in_use) < self._size:
            if self._waiting[0].done():  # cancelled
                self._waiting.popleft()
                continue
            environment = self._last_used() or self._new()
            if environment is None:
                return
            self._in_use.add(environment)
            self._waiting.popleft().set_result(environment)

    def _last_used(self) -> Environment | None:
        while self._idle:
            environment = self._idle.pop()
            # Its process may have died since it was put back.
            if environment.state is State.READY:
                return environment
        return None

    def _new(self) -> Environment | None:
        end = self._starts.begin(self._serve)
        if end is None:
            return None

        def started() -> None:
            end()
            self._start_ended.set()

        return self._make(started)

    def _put_back(self, environment: Environment) -> None:
        self._in_use.discard(environment)
        self._start_ended.set()  # it may not have begun
        if environment in self._outdated:
            self._outdated.discard(environment)
            environment.retire()
        elif environment.state is State.READY:
            environment.idle_since = self._clock.time()
            self._idle.append(environment)
        self._serve()
        if not self._watched and len(self._idle) > 1:
            self._watched = True
            self._clock.call_later(IDLE_SECONDS, self._end_idle)

    def _end_idle(self) -> None:
        """End the environments that have been idle for long."""
        now = self._clock.time()
        self.end_spare(since=now - IDLE_SECONDS)
        self._watched = len(self._idle) > 1
        if self._watched:
            self._clock.call_later(max(1.0, self._idle[0].idle_since + IDLE_SECONDS - now), self._end_idle)

    def end_spare(self, kept: int = 1, since: float = math.inf) -> None:
        """End environments that are idle since this moment or longer, but never those that were used last."""
        # The longest idle ones are at the front.
        while len(self._idle) > kept and self._idle[0].idle_since <= since:
            self._idle.pop(0).retire()

    def end_running(self) -> bool:
        """End the environments that handle an event. Return whether there are any."""
        for environment in self._running:
            environment.retire()
        return bool(self._running)

    @property
    def has_environments(self) -> bool:
        """True if an environment is idle or handles an event."""
        return bool(self._idle or self._in_use)

    def renew(self) -> None:
        """Give no further event to the environments that there are now. A busy one ends after its event."""
        self._outdated |= self._in_use
        self.end_spare(0)
