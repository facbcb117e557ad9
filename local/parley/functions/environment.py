"""An environment: a process that runs a function's events, one at a time."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from parley.clock import Clock, Timer
from parley.faults.injector import Injector
from parley.functions import invocation as faults
from parley.functions.invocation import Answer, Invocation, Outcome, Run
from parley.functions.processes import memory
from parley.functions.processes.bootstrap import Order
from parley.functions.processes.client import LaunchError, Process, Processes
from parley.functions.processes.output import Output
from parley.functions.runtime_api import RuntimeApi
from parley.functions.variables import of_process
from parley.template.model import Function
from parley.trace import Trace

INIT_SECONDS = 10.0
"""How long a function may take to start before its time-out begins, as on AWS."""

_LINES = 200
"""The most lines of one invocation that are kept for who asks for the end of its log."""


class State(Enum):
    """What an environment is about."""

    STARTING = auto()
    READY = auto()
    BUSY = auto()
    DEAD = auto()


@dataclass(frozen=True, slots=True)
class Place:
    """What environments need of the emulator: who makes processes, who is told, and whose time it is."""

    processes: Processes
    trace: Trace
    clock: Clock
    injector: Injector | None = None


class Environment:
    """One process of a function's version. Its first run starts it; one that is dead is of no more use."""

    def __init__(self, function: Function, version: str, place: Place) -> None:
        self.state = State.STARTING
        self.idle_since = 0.0
        self._function = function
        self._version = version
        self._place = place
        self._api = RuntimeApi(self._on_next, self._on_answer)
        self._process: Process | None = None
        self._settled = asyncio.Event()
        self._request_id: str | None = None
        self._answer: Answer | None = None
        self._status: int | None = None
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._exceeded = False
        self._used: float | None = None

    async def run(self, invocation: Invocation) -> Outcome:
        """Have the function handle an event; return when the environment can take the next, or is dead."""
        run = Run(invocation, self.state is State.STARTING, self._place.trace)
        self._request_id = invocation.request_id
        self._lines.clear()
        self._used = None
        try:
            return run.end(await self._run(invocation), self._lines, self._used)
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

    def retire(self) -> None:
        """End the process: nothing has been asked of it for long."""
        if self._process is not None:
            self._place.processes.kill(self._process)

    async def _run(self, invocation: Invocation) -> Answer:
        failed = await self.start(invocation) if self.state is State.STARTING else None
        if failed is not None:
            return failed
        self._settled.clear()
        self.state = State.BUSY
        if self._place.injector is not None:
            self._sabotage(self._place.injector, invocation)
        self._look_later()
        self._api.give(invocation, invocation.arn())
        try:
            return self._outcome(invocation, await self._settle(self._function.timeout))
        finally:
            self._looking.cancel()

    def _look_later(self) -> None:
        self._looking: Timer = self._place.clock.call_later(memory.LOOK_SECONDS, self._look_at_memory)

    def _look_at_memory(self) -> None:
        process = self._process
        if self.state is not State.BUSY or process is None or not process.pid.done():
            return
        used = memory.used(process.pid.result())
        self._used = max(used, self._used or 0.0)
        if used <= self._function.memory:
            self._look_later()
            return
        self._exceeded = True
        limit = f"{self._function.name} used {used:.0f} MB, it has {self._function.memory} (MemorySize): killed."
        self._place.trace.record("note", text=limit)
        self._place.processes.signal(process, signal.SIGKILL)

    def _sabotage(self, injector: Injector, invocation: Invocation) -> None:
        fault = injector.at_run(invocation)
        if fault is None or self._process is None:
            return
        if fault.do == "kill":
            self._place.processes.signal(self._process, signal.SIGKILL)
        else:
            self._place.processes.freeze(self._process, fault.seconds)

    def _outcome(self, invocation: Invocation, in_time: bool) -> Answer:
        if self._answer is not None:
            return self._answer
        if self._exceeded:
            return faults.out_of_memory(invocation)
        return faults.exited(invocation, self._status or 0) if in_time else faults.timed_out(invocation)

    async def _launch(self) -> None:
        self._output = Output(self._on_line)
        try:
            address = await self._api.open()
            log_stream = f"{time.strftime('%Y/%m/%d')}/[{self._version}]{secrets.token_hex(16)}"
            variables = of_process(self._function, self._version, log_stream, address)
            order = Order(self._function.handler, str(self._function.code.absolute()), variables)
            self._process = await self._place.processes.launch(order, self._output.writer, self._on_exit)
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
                self._place.processes.kill(self._process)
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
        self._lines.append(line)
        self._place.trace.record("log", function=self._function.name, request_id=self._request_id, line=line)
