"""The environments of all functions."""

from __future__ import annotations

import asyncio
import importlib.util
import signal
from collections.abc import Callable, Mapping

from parley.clock import Clock
from parley.errors import StartError
from parley.faults.injector import Injector
from parley.functions.environment import Environment, EnvironmentContext
from parley.functions.invocation import FunctionResponse, Invocation, Outcome
from parley.functions.pool import Pool, Starts
from parley.functions.processes.client import Processes
from parley.functions.processes.launch import ZygoteProcess, start_zygote_for
from parley.template.model import Function
from parley.trace import Trace

_RESERVED_MB = 500.0
"""The memory that is left to the rest of the machine: with less, environments that are idle are ended."""


class Pools:
    """The runner with processes, as on AWS: each process has the variables and the modules of one function."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        trace: Trace,
        environments: int,
        clock: Clock,
        available_mb: Callable[[], float],
        injector: Injector | None = None,
        zygote: ZygoteProcess | None = None,
        freezes: bool = True,
    ) -> None:
        self._functions = functions
        self._zygote = zygote
        self._environments = environments
        self._processes = Processes()
        self._context = EnvironmentContext(self._processes, trace, clock, injector, freezes)
        self._starts = Starts(clock)
        self._available_mb = available_mb
        self._pools: dict[tuple[str, str], Pool] = {}

    def _pool(self, invocation: Invocation) -> Pool:
        function, version = invocation.function, invocation.version
        if (function.name, version) not in self._pools:

            def make(started: Callable[[], None]) -> Environment:
                self._make_room()
                return Environment(function, version, self._context, started)

            self._pools[function.name, version] = Pool(
                make, self._environments, self._starts, self._context.trace, self._context.clock
            )
        return self._pools[function.name, version]

    def _make_room(self) -> None:
        """End the spare environments of all functions if the machine has little memory left."""
        if self._available_mb() < _RESERVED_MB:
            for pool in self._pools.values():
                pool.end_spare()

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
