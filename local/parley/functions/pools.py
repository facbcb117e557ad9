"""Pools of environments: how many a function has, and the one that takes an event."""

from __future__ import annotations

import asyncio
import importlib.util
import signal
from collections.abc import Callable, Mapping

from parley.clock import Clock
from parley.errors import StartError
from parley.faults.injector import Injector
from parley.functions.environment import Environment, EnvironmentContext, State
from parley.functions.invocation import FunctionResponse, Invocation, Outcome
from parley.functions.processes.client import Processes
from parley.functions.processes.launch import ZygoteProcess, start_zygote_for
from parley.template.model import Function
from parley.trace import Trace

IDLE_SECONDS = 300.0
"""The time without an event after which an environment is ended. On AWS it is some minutes, not documented."""


class Pool:
    """The environments of one version of a function.

    An invocation takes the environment that was used last. If none is free it starts one, and if there are `size`
    already it waits. Of the environments that are idle for long, all but one are ended: a developer's next message
    finds that one warm.
    """

    def __init__(self, make: Callable[[], Environment], size: int, trace: Trace, clock: Clock) -> None:
        self._make = make
        self._size = size
        # Counts the environments in use and not those that exist: it is held while an event is handled.
        self._free = asyncio.Semaphore(size)
        self._idle: list[Environment] = []
        self._trace = trace
        self._clock = clock
        self._watched = False

    async def run(self, invocation: Invocation) -> Outcome:
        """Let an environment handle an event."""
        if self._free.locked():
            name, request_id = invocation.function.name, invocation.request_id
            self._trace.record("wait", function=name, request_id=request_id, environments=self._size)
        # Those who wait are served in their order. AWS would answer them with 429 at the account's limit; here that
        # limit is the developer's machine, so they wait.
        async with self._free:
            environment = self._take()
            try:
                return await environment.run(invocation)
            finally:
                if environment.state is State.READY:
                    self._put_back(environment)

    async def warm(self, invocation: Invocation) -> FunctionResponse | None:
        """Start an environment before the first event. Return the error if it does not become ready."""
        async with self._free:
            environment = self._make()
            failed = await environment.start(invocation)
            if failed is None:
                self._put_back(environment)
            return failed

    def _take(self) -> Environment:
        while self._idle:
            environment = self._idle.pop()
            # Its process may have died since it was put back.
            if environment.state is State.READY:
                return environment
        return self._make()

    def _put_back(self, environment: Environment) -> None:
        environment.idle_since = self._clock.time()
        self._idle.append(environment)
        if not self._watched and len(self._idle) > 1:
            self._watched = True
            self._clock.call_later(IDLE_SECONDS, self._end_idle)

    def _end_idle(self) -> None:
        """End the environments that have been idle for long. The longest idle ones are at the front."""
        now = self._clock.time()
        while len(self._idle) > 1 and self._idle[0].idle_since + IDLE_SECONDS <= now:
            self._idle.pop(0).retire()
        self._watched = len(self._idle) > 1
        if self._watched:
            self._clock.call_later(max(1.0, self._idle[0].idle_since + IDLE_SECONDS - now), self._end_idle)


class Pools:
    """The runner with processes, as on AWS: each process has the variables and the modules of one function."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        trace: Trace,
        environments: int,
        clock: Clock,
        injector: Injector | None = None,
        zygote: ZygoteProcess | None = None,
        freezes: bool = True,
    ) -> None:
        self._functions = functions
        self._zygote = zygote
        self._environments = environments
        self._processes = Processes()
        self._context = EnvironmentContext(self._processes, trace, clock, injector, freezes)
        self._pools: dict[tuple[str, str], Pool] = {}

    def _pool(self, invocation: Invocation) -> Pool:
        function, version, context = invocation.function, invocation.version, self._context
        if (function.name, version) not in self._pools:
            self._pools[function.name, version] = Pool(
                lambda: Environment(function, version, context), self._environments, context.trace, context.clock
            )
        return self._pools[function.name, version]

    async def start(self) -> None:
        """Start the zygote that environments are forked from. Raises `StartError` if no process can run."""
        _require_runtime()
        if self._zygote is None:
            self._zygote = await asyncio.to_thread(start_zygote_for, self._functions.values())
        self._processes.start(self._zygote)

    async def warm(self, invocation: Invocation) -> FunctionResponse | None:
        """Start an environment of a function before its first event. Return the error if it does not start."""
        return await self._pool(invocation).warm(invocation)

    async def run(self, invocation: Invocation) -> Outcome:
        """Handle an event of one of the functions."""
        return await self._pool(invocation).run(invocation)

    def caller(self, access_key: str) -> str:
        """Return the name of the function whose process has or had this key; empty if that is not certain."""
        return self._processes.caller(access_key)

    def kill(self, access_key: str) -> None:
        """Kill the process that signs with this key, if there is one."""
        if process := self._processes.of_access_key(access_key):
            self._processes.signal(process, signal.SIGKILL)

    def freeze(self, access_key: str, seconds: float) -> None:
        """Stop the process that signs with this key, if there is one, and let it go on after this many seconds."""
        if process := self._processes.of_access_key(access_key):
            self._processes.freeze(process, seconds)

    async def stop(self) -> None:
        """Kill every process. A running invocation ends like one whose process was killed."""
        await self._processes.stop()


def _require_runtime() -> None:
    missing = [name for name in ("awslambdaric", "runtime_client") if importlib.util.find_spec(name) is None]
    if missing:
        raise StartError(
            f"Functions cannot run as processes: AWS's Python runtime is not installed here (missing: "
            f"{', '.join(missing)}; it is built for Linux only). "
            "Run them in the emulator's own process: `parley up --functions inline`."
        )
