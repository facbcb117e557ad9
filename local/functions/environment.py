"""An environment: a process that runs a function's events, one at a time."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from enum import Enum, auto

from local.functions import outcome as faults
from local.functions.child import Order
from local.functions.outcome import Answer, Invocation, Outcome, Run
from local.functions.output import Output
from local.functions.processes import LaunchError, Process, Processes
from local.functions.runtime_api import RuntimeApi
from local.functions.variables import function_arn, of_process
from local.injector import Injector
from local.template.model import Function
from local.trace import Trace

INIT_SECONDS = 10.0
"""How long a function may take to start before its time-out begins, as on AWS."""


class State(Enum):
    """What an environment is about."""

    STARTING = auto()
    READY = auto()
    BUSY = auto()
    DEAD = auto()


class Environment:
    """One process of a function. Its first run starts it; one that is dead is of no more use."""

    def __init__(
        self, function: Function, processes: Processes, trace: Trace, region: str, injector: Injector | None = None
    ) -> None:
        self.state = State.STARTING
        self._function = function
        self._processes = processes
        self._trace = trace
        self._region = region
        self._injector = injector
        self._api = RuntimeApi(self._on_next, self._on_answer)
        self._process: Process | None = None
        self._settled = asyncio.Event()
        self._request_id: str | None = None
        self._answer: Answer | None = None
        self._status: int | None = None

    async def run(self, invocation: Invocation) -> Outcome:
        """Have the function handle an event; return when the environment can take the next, or is dead."""
        run = Run(invocation, self.state is State.STARTING, self._trace)
        self._request_id = invocation.request_id
        try:
            return run.end(await self._run(invocation))
        finally:
            self._request_id = self._answer = None

    async def start(self, invocation: Invocation) -> Answer | None:
        """Start the process, for this invocation. Return the error that kept it from being ready, if one did."""
        try:
            await self._launch()
        except (LaunchError, OSError) as error:
            return faults.not_launched(invocation, str(error))
        in_time = await self._settle(INIT_SECONDS + self._function.timeout)
        return None if self.state is State.READY else self._outcome(invocation, in_time)

    async def _run(self, invocation: Invocation) -> Answer:
        failed = await self.start(invocation) if self.state is State.STARTING else None
        if failed is not None:
            return failed
        self._settled.clear()
        self.state = State.BUSY
        if self._injector is not None:
            self._sabotage(self._injector, invocation)
        self._api.give(invocation, function_arn(self._function.name, self._region))
        return self._outcome(invocation, await self._settle(self._function.timeout))

    def _sabotage(self, injector: Injector, invocation: Invocation) -> None:
        fault = injector.at_run(invocation)
        if fault is None or self._process is None:
            return
        if fault.do == "kill":
            self._processes.signal(self._process, signal.SIGKILL)
        else:
            self._processes.freeze(self._process, fault.seconds)

    def _outcome(self, invocation: Invocation, in_time: bool) -> Answer:
        if self._answer is not None:
            return self._answer
        return faults.exited(invocation, self._status or 0) if in_time else faults.timed_out(invocation)

    async def _launch(self) -> None:
        self._output = Output(self._on_line)
        try:
            address = await self._api.open()
            log_stream = f"{time.strftime('%Y/%m/%d')}/[$LATEST]{secrets.token_hex(16)}"
            variables = of_process(self._function, self._region, log_stream, address)
            order = Order(self._function.handler, str(self._function.code.absolute()), variables)
            self._process = await self._processes.launch(order, self._output.writer, self._on_exit)
        except BaseException:
            self._die()
            raise

    async def _settle(self, seconds: float) -> bool:
        """Wait until the runtime asks for the next event or the process ends. Kill it when that takes too long."""
        try:
            async with asyncio.timeout(seconds):
                await self._settled.wait()
        except TimeoutError:
            if self._process is not None:
                self._processes.kill(self._process)
            await self._death()
            return False
        # What the handler printed belongs to this event, not to the next.
        if self.state is State.READY:
            self._output.drain()
        return True

    async def _death(self) -> None:
        while self.state is not State.DEAD:
            self._settled.clear()
            await self._settled.wait()

    def _on_next(self) -> None:
        self.state = State.READY
        self._settled.set()

    def _on_answer(self, answer: Answer) -> None:
        self._answer = answer

    def _on_exit(self, status: int) -> None:
        self._status = status
        self._die()

    def _die(self) -> None:
        self.state = State.DEAD
        self._api.close()
        self._output.close()
        self._settled.set()

    def _on_line(self, line: str) -> None:
        self._trace.record("log", function=self._function.name, request_id=self._request_id, line=line)
