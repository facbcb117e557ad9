"""How many environments a function has, and which of them takes an event."""

from __future__ import annotations

import asyncio
import importlib.util
import signal
from collections.abc import Callable, Mapping

from parley.clock import Clock
from parley.errors import StartError
from parley.faults.injector import Injector
from parley.functions.environment import Environment, Place, State
from parley.functions.invocation import Answer, Invocation, Outcome
from parley.functions.processes.client import Processes
from parley.functions.processes.launch import Parent, launch_for
from parley.template.model import Function
from parley.trace import Trace

IDLE_SECONDS = 300.0
"""After so long without an event an environment is ended; on AWS it is some minutes, which are not documented."""


class Pool:
    """The environments of one version of a function.

    An invocation takes the one used last, or starts one, or waits its turn. Of those that are idle for long all but
    one are ended: the next message of a developer finds that one warm.
    """

    def __init__(self, make: Callable[[], Environment], size: int, trace: Trace, clock: Clock) -> None:
        self._make = make
        self._free = asyncio.Semaphore(size)
        self._idle: list[Environment] = []
        self._trace = trace
        self._clock = clock
        self._watched = False

    async def run(self, invocation: Invocation) -> Outcome:
        """Have an environment handle an event."""
        if self._free.locked():
            self._trace.record("wait", function=invocation.function.name, request_id=invocation.request_id)
        async with self._free:
            environment = self._take()
            try:
                return await environment.run(invocation)
            finally:
                if environment.state is State.READY:
                    self._rest(environment)

    async def warm(self, invocation: Invocation) -> Answer | None:
        """Start an environment ahead of events. Return the error that kept it from being ready, if one did."""
        async with self._free:
            environment = self._make()
            failed = await environment.start(invocation)
            if failed is None:
                self._rest(environment)
            return failed

    def _take(self) -> Environment:
        while self._idle:
            environment = self._idle.pop()
            if environment.state is State.READY:
                return environment
        return self._make()

    def _rest(self, environment: Environment) -> None:
        environment.idle_since = self._clock.time()
        self._idle.append(environment)
        if not self._watched and len(self._idle) > 1:
            self._watched = True
            self._clock.call_later(IDLE_SECONDS, self._reap)

    def _reap(self) -> None:
        """End who has been idle for long. The longest idle are at the front."""
        now = self._clock.time()
        while len(self._idle) > 1 and self._idle[0].idle_since + IDLE_SECONDS <= now:
            self._idle.pop(0).retire()
        self._watched = len(self._idle) > 1
        if self._watched:
            self._clock.call_later(max(1.0, self._idle[0].idle_since + IDLE_SECONDS - now), self._reap)


class Pools:
    """Runs functions as AWS does: in processes, each with the variables and the modules of one function."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        trace: Trace,
        size: int,
        clock: Clock,
        injector: Injector | None = None,
        parent: Parent | None = None,
    ) -> None:
        self._functions = functions
        self._parent = parent
        self._size = size
        self._processes = Processes()
        self._place = Place(self._processes, trace, clock, injector)
        self._pools: dict[tuple[str, str], Pool] = {}

    def _pool(self, invocation: Invocation) -> Pool:
        function, version = invocation.function, invocation.version
        if (function.name, version) not in self._pools:
            self._pools[function.name, version] = Pool(
                lambda: Environment(function, version, self._place), self._size, self._place.trace, self._place.clock
            )
        return self._pools[function.name, version]

    async def start(self) -> None:
        """Have the libraries loaded from which environments are forked. Raise StartError where none can run."""
        _require_runtime()
        if self._parent is None:
            self._parent = await asyncio.to_thread(launch_for, self._functions.values())
        self._processes.start(self._parent)

    async def warm(self, invocation: Invocation) -> Answer | None:
        """Start an environment of a function ahead of its events. Return the error where it does not start."""
        return await self._pool(invocation).warm(invocation)

    async def run(self, invocation: Invocation) -> Outcome:
        """Handle an event of one of the functions."""
        return await self._pool(invocation).run(invocation)

    def caller(self, access_key: str) -> str:
        """Return the name of the function whose process signs with this key; nothing for no such process."""
        process = self._processes.of_access_key(access_key)
        return process.variables["AWS_LAMBDA_FUNCTION_NAME"] if process else ""

    def kill(self, access_key: str) -> None:
        """Kill the process that signs with this key, if there is one."""
        if process := self._processes.of_access_key(access_key):
            self._processes.signal(process, signal.SIGKILL)

    def freeze(self, access_key: str, seconds: float) -> None:
        """Stop the process that signs with this key, if there is one, and let it go on after so many seconds."""
        if process := self._processes.of_access_key(access_key):
            self._processes.freeze(process, seconds)

    async def stop(self) -> None:
        """Kill every process. What runs, ends as a process that was killed."""
        await self._processes.stop()


def _require_runtime() -> None:
    missing = [name for name in ("awslambdaric", "runtime_client") if importlib.util.find_spec(name) is None]
    if missing:
        raise StartError(
            f"AWS's Python runtime is not installed here ({', '.join(missing)}; it is built for Linux only), "
            "so functions cannot run as processes. Run them in the emulator's own: `parley up --functions inline`."
        )
