"""The environments of all functions."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Collection, Mapping

from parley.clock import Clock
from parley.faults.injector import Injector
from parley.functions.environment import Environment, EnvironmentContext
from parley.functions.invocation import FunctionResponse, Invocation, Outcome
from parley.functions.pool import Pool, Starts
from parley.functions.processes.client import Processes
from parley.functions.processes.launch import ZygoteProcess, start_another_zygote, start_zygote_for
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
        self._others: list[Processes] = []
        self._context = EnvironmentContext(lambda: self._processes, trace, clock, injector, freezes)
        self._starts = Starts(clock)
        self._available_mb = available_mb
        self._pools: dict[tuple[str, str], Pool] = {}

    def _pool(self, invocation: Invocation) -> Pool:
        function, version = invocation.function, invocation.version
        if (function.name, version) not in self._pools:

            def make(started: Callable[[], None]) -> Environment:
                self._make_room()
                # The function as it is now: it may have changed since the pool's first event.
                return Environment(self._functions.get(function.name, function), version, self._context, started)

            self._pools[function.name, version] = Pool(
                make, self._environments, self._starts, self._context.trace, self._context.clock
            )
        return self._pools[function.name, version]

    def _make_room(self) -> None:
        """End the spare environments of all functions if the machine has little memory left."""
        if self._available_mb() < _RESERVED_MB:
            for pool in self._pools.values():
                pool.end_spare()

    def renew(self, functions: Mapping[str, Function], changed: Collection[str]) -> list[str]:
        """Take these functions from now on; no environment of the changed ones gets a further event.

        Return those of the changed ones that had environments, the one that was used last first.
        """
        self._functions = functions
        pools = [(pool.last_used, name, pool) for (name, _), pool in self._pools.items() if name in changed]
        running = sorted(((used, name) for used, name, pool in pools if pool.has_environments), reverse=True)
        for _, _, pool in pools:
            pool.renew()
        return list(dict.fromkeys(name for _, name in running if name in functions))

    async def renew_libraries(self, *, changed: bool) -> bool:
        """Fork further environments from a zygote with the libraries as they are now. Return whether there is another.

        If the libraries have changed, or variables that they could read, no environment that there is gets a further
        event. If the functions just import more, the other zygote serves once it is ready, and the environments go on.
        """
        before = self._processes
        plan = None if changed else before.plan
        zygote = await asyncio.to_thread(start_another_zygote, list(self._functions.values()), plan)
        if zygote is None:
            return False
        changed = changed or before.plan is None or zygote.plan.has_other_variables(before.plan)
        coming = Processes()
        self._others.append(coming)
        coming.start(zygote)
        if not changed:
            await coming.folders()
        self._others.remove(coming)
        self._processes = coming
        self._others.append(before)
        if changed:
            for pool in self._pools.values():
                pool.renew()
        before.end_when_unused(lambda: self._others.remove(before))
        return True

    async def library_folders(self) -> list[str]:
        """Return the folders with the libraries that environments share."""
        return await self._processes.folders()

    async def start(self) -> None:
        """Start the zygote that environments are forked from."""
        if self._zygote is None:
            self._zygote = await asyncio.to_thread(start_zygote_for, self._functions.values())
        self._processes.start(self._zygote)

    async def warm(self, invocation: Invocation, *, stays: bool = True) -> FunctionResponse | None:
        """Start an environment of a function before its first event. Return the error if it does not start.

        With `stays` it waits for the event. Otherwise it ends, and there is none if an event has come before.
        """
        pool = self._pool(invocation)
        return await pool.warm(invocation, stays=stays) if stays or not pool.has_environments else None

    async def run(self, invocation: Invocation) -> Outcome:
        """Handle an event of one of the functions."""
        return await self._pool(invocation).run(invocation)

    def caller(self, access_key: str) -> str:
        """Return the name of the function whose process has or had this key; empty if that is not certain."""
        return next(filter(None, (each.caller(access_key) for each in self._all_processes())), "")

    def request(self, access_key: str) -> str:
        """Return the id of the event that the process with this key handles; empty if there is none."""
        return next(filter(None, (each.requests.get(access_key, "") for each in self._all_processes())), "")

    def kill(self, access_key: str) -> None:
        """Kill the process that signs with this key, if there is one."""
        for processes in self._all_processes():
            if process := processes.of_access_key(access_key):
                processes.signal(process, signal.SIGKILL)

    def freeze(self, access_key: str, seconds: float) -> None:
        """Stop the process that signs with this key, if there is one, and let it go on after this many seconds."""
        for processes in self._all_processes():
            if process := processes.of_access_key(access_key):
                processes.freeze(process, seconds)

    def _all_processes(self) -> list[Processes]:
        return [self._processes, *self._others]

    def end_running(self) -> list[str]:
        """Kill the environments that handle an event. Return the names of their functions."""
        return [name for (name, _), pool in self._pools.items() if pool.end_running()]

    def end_idle(self) -> None:
        """Kill the environments that wait for an event."""
        for pool in self._pools.values():
            pool.end_spare(0)

    async def stop(self) -> None:
        """Kill every process. A running invocation ends like one whose process was killed."""
        await asyncio.gather(*(each.stop() for each in self._all_processes()))
