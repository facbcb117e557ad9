"""An environment: a process that handles a function's events, one at a time."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from parley.clock import Clock
from parley.faults.injector import Injector
from parley.functions.invocation import (
    FunctionResponse,
    Invocation,
    LaunchError,
    Outcome,
    Run,
    exited,
    not_launched,
    out_of_memory,
    timed_out,
)
from parley.functions.processes.client import Process, Processes
from parley.functions.processes.memory import MemoryMeter, MemoryWatch
from parley.functions.processes.output import Output
from parley.functions.runtime_api import RuntimeApi
from parley.functions.variables import of_process
from parley.template.model import PROVIDED, Function
from parley.trace import Trace

INIT_SECONDS = 10.0
"""The time that a function may take to start before its time-out begins, as on AWS."""

FREEZE_SECONDS = 0.005
"""The time without an event after which an environment stands still."""

_MAX_LINES = 200
"""The number of an invocation's last lines that are kept, for a caller who asks for the end of the log."""


class State(Enum):
    """The state of an environment."""

    STARTING = auto()
    READY = auto()
    BUSY = auto()
    DEAD = auto()


@dataclass(frozen=True, slots=True)
class EnvironmentContext:
    """The emulator's parts that all environments use.

    `processes` returns those among which a new process is started now. `freezes`: whether environments stand still
    between events.
    """

    processes: Callable[[], Processes]
    trace: Trace
    clock: Clock
    injector: Injector | None = None
    freezes: bool = True


class Environment:
    """One process of a function's version. Its first run starts the process; a dead environment is not used again.

    `on_started` is called when the start is over, with or without success.
    """

    def __init__(
        self, function: Function, version: str, context: EnvironmentContext, on_started: Callable[[], None]
    ) -> None:
        self.state = State.STARTING
        self.idle_since = 0.0
        self._function = function
        self._version = version
        self._context = context
        self._on_started = on_started
        # An executable may have any client of the Runtime API: that of Rust, for one, takes host and port only.
        self._api = RuntimeApi(self._on_next, self._on_response, in_path=function.language != PROVIDED)
        self._processes = context.processes()
        self._process: Process | None = None
        self._settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request_id: str | None = None
        self._response: FunctionResponse | None = None
        self._status: int | None = None
        self._lines: deque[str] = deque(maxlen=_MAX_LINES)
        self._meter: MemoryMeter | None = None
        self._memory: MemoryWatch | None = None
        self._exceeded = False
        self._freezing: asyncio.TimerHandle | None = None
        self._frozen = False

    async def run(self, invocation: Invocation) -> Outcome:
        """Let the function handle an event. Return when the environment is ready for the next event, or dead."""
        run = Run(invocation, self.state is State.STARTING, self._context.trace)
        self._request_id = invocation.request_id
        self._lines.clear()
        self._memory = None
        try:
            response = await self._run(invocation)
            return run.end(response, self._lines, self._used_memory())
        finally:
            self._request_id = self._response = None

    async def start(self, invocation: Invocation) -> FunctionResponse | None:
        """Start the process for this invocation. Return the error if it does not become ready."""
        try:
            await self._launch()
            in_time = await self._settle(INIT_SECONDS + self._function.timeout)
        except LaunchError as error:
            return not_launched(invocation, str(error), error.type)
        except OSError as error:
            return not_launched(invocation, str(error))
        finally:
            self._on_started()
        return None if self.state is State.READY else self._result(invocation, in_time)

    def retire(self) -> None:
        """End the process. An event that it handles fails."""
        if self._process is not None:
            self._processes.kill(self._process)

    async def _run(self, invocation: Invocation) -> FunctionResponse:
        failed = await self.start(invocation) if self.state is State.STARTING else None
        if failed is not None:
            return failed
        self._settled = asyncio.get_running_loop().create_future()
        self.state = State.BUSY
        self._thaw()
        self._apply_fault(invocation)
        self._memory = self._watch_memory()
        requests, key = self._processes.requests, self._access_key()
        requests[key] = invocation.request_id
        # The runtime has asked for an event already: only then does an environment become ready.
        self._api.give(invocation, invocation.arn())
        try:
            return self._result(invocation, await self._settle(self._function.timeout))
        finally:
            requests.pop(key, None)
            self._stop_memory_watch()

    def _access_key(self) -> str:
        return self._process.variables.get("AWS_ACCESS_KEY_ID", "") if self._process is not None else ""

    def _watch_memory(self) -> MemoryWatch | None:
        process, limit = self._process, self._function.memory
        if process is None or not process.pid.done():
            return None

        def kill(used: float) -> None:
            self._exceeded = True
            text = f"{self._function.name} used {used:.0f} MB, it has {limit} (MemorySize): killed."
            self._context.trace.record("note", text=text)
            self._processes.signal(process, signal.SIGKILL)

        self._meter = self._meter or MemoryMeter(process.pid.result(), process.shared_mb)
        return MemoryWatch(self._meter, limit, self._context.clock, kill)

    def _used_memory(self) -> float | None:
        return self._memory.used if self._memory is not None else None

    def _stop_memory_watch(self) -> None:
        if self._memory is not None:
            self._memory.stop()

    def _apply_fault(self, invocation: Invocation) -> None:
        if self._context.injector is None or self._process is None:
            return
        fault = self._context.injector.at_run(self._function.name, invocation.payload, invocation.request_id)
        if fault is None:
            return
        if fault.do == "kill":
            self._processes.signal(self._process, signal.SIGKILL)
        else:
            self._processes.freeze(self._process, fault.seconds)

    def _result(self, invocation: Invocation, in_time: bool) -> FunctionResponse:
        """Return the function's response or, if there is none, the error for the way in which the process ended."""
        if self._response is not None:
            return self._response
        if self._exceeded:
            return out_of_memory(invocation)
        return exited(invocation, self._status or 0) if in_time else timed_out(invocation)

    async def _launch(self) -> None:
        self._output = Output(self._on_line)
        try:
            address = await self._api.open()
            log_stream = f"{time.strftime('%Y/%m/%d')}/[{self._version}]{secrets.token_hex(16)}"
            variables = of_process(self._function, self._version, log_stream, address)
            # Not those of the moment when this was made: the zygote may have been replaced since.
            self._processes = self._context.processes()
            self._process = await self._processes.launch(self._function, variables, self._output.writer, self._on_exit)
        except BaseException:
            self._die()
            raise

    async def _settle(self, seconds: float) -> bool:
        """Wait until the runtime asks for the next event or the process ends. Return whether it did in time.

        A process that takes longer is killed.
        """
        if not await self._context.clock.within(seconds, self._settled):
            if self._process is not None:
                self._processes.kill(self._process)
            await self._death()
            return False
        # The runtime asks for the next event over a socket, the lines come through a pipe. So lines of this event may
        # still be in the pipe; read now, they do not count as the next event's.
        if self.state is State.READY:
            self._output.drain()
            if self._context.freezes:
                # Not now: the caller waits for the response, and the next event may be there already.
                self._freezing = asyncio.get_running_loop().call_later(FREEZE_SECONDS, self._freeze)
        return True

    def _freeze(self) -> None:
        """Let the process stand still until the next event, with its threads and the processes that it started.

        Lambda does so: developer guide, "Lambda execution environment lifecycle". A killed process ends all the same;
        and if nobody is left to kill it, the kernel ends the stopped processes of an orphaned group by SIGHUP.
        """
        if self._process is not None:
            self._frozen = True
            self._processes.rest(self._process)

    def _thaw(self) -> None:
        if self._freezing is not None:
            self._freezing.cancel()
        if self._frozen and self._process is not None:
            self._frozen = False
            self._processes.wake(self._process)

    async def _death(self) -> None:
        while self.state is not State.DEAD:
            self._settled = asyncio.get_running_loop().create_future()
            await self._settled

    def _on_next(self) -> None:
        self.state = State.READY
        self._stop_memory_watch()
        self._settle_now()

    def _on_response(self, response: FunctionResponse) -> None:
        self._response = response

    def _on_exit(self, status: int) -> None:
        self._status = status
        self._die()

    def _die(self) -> None:
        self.state = State.DEAD
        self._stop_memory_watch()
        if self._freezing is not None:
            self._freezing.cancel()
        self._api.close()
        self._output.close()
        self._settle_now()

    def _settle_now(self) -> None:
        if not self._settled.done():
            self._settled.set_result(None)

    def _on_line(self, line: str) -> None:
        self._lines.append(line)
        self._context.trace.record("log", function=self._function.name, request_id=self._request_id, line=line)
