"""Functions as threads of the emulator's own process, for a debugger: same face as the environments, less like AWS.

Variables and modules are shared by all functions, a time-out is reported but ends nothing, and what a handler
prints goes to the terminal.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from parley.clock import Clock
from parley.faults.injector import Injector
from parley.functions import invocation as faults
from parley.functions.invocation import Answer, Invocation, Outcome, Run
from parley.functions.processes.launch import Parent
from parley.functions.variables import log_group, of_service
from parley.template.model import LATEST, Function
from parley.trace import Trace

Handler = Callable[[Any, "Context"], Any]

_LOG_STREAM = "inline"


@dataclass(frozen=True, slots=True)
class Context:
    """The context that a handler gets, by Lambda's names. `deadline` is in seconds since the epoch."""

    aws_request_id: str
    function_name: str
    invoked_function_arn: str
    memory_limit_in_mb: str
    log_group_name: str
    deadline: float
    log_stream_name: str = _LOG_STREAM
    function_version: str = LATEST
    client_context: None = None
    identity: None = None

    def get_remaining_time_in_millis(self) -> int:
        """Return how much of the time-out is left; never less than 0."""
        return max(0, int((self.deadline - time.time()) * 1000))


class Inline:
    """Runs functions in threads."""

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
        self._trace = trace
        self._injector = injector
        self._free = {name: asyncio.Semaphore(size) for name in functions}
        self._used: set[str] = set()

    async def start(self) -> None:
        """Give this process the variables of all functions, and the folders of their code."""
        for function in self._functions.values():
            code = str(function.code.absolute())
            if code not in sys.path:
                sys.path.insert(0, code)
            for name, value in function.environment.items():
                if os.environ.get(name, value) != value:
                    self._trace.record("note", text=f"{name} is now {function.name}'s, for all: functions run inline.")
            os.environ.update({**of_service(function, LATEST, _LOG_STREAM), **function.environment})

    async def warm(self, invocation: Invocation) -> Answer | None:
        """Import a function's handler. Return the error where that fails."""
        try:
            _handler(invocation.function)
        except (Exception, SystemExit) as error:
            return _failure(invocation, error)
        return None

    async def run(self, invocation: Invocation) -> Outcome:
        """Handle an event of one of the functions."""
        function = invocation.function
        async with self._free[function.name]:
            run = Run(invocation, function.name not in self._used, self._trace)
            self._used.add(function.name)
            if self._injector and (fault := self._injector.at_run(invocation)):
                self._injector.impossible(fault)
            try:
                async with asyncio.timeout(function.timeout):
                    return run.end(await self._in_thread(invocation))
            except TimeoutError:
                return run.end(faults.timed_out(invocation))

    def caller(self, access_key: str) -> str:
        """Return nothing: all functions sign with the same key."""
        return ""

    def kill(self, access_key: str) -> None:
        """Kill nothing: there is no process but the emulator's own."""

    def freeze(self, access_key: str, seconds: float) -> None:
        """Freeze nothing: there is no process but the emulator's own."""

    async def stop(self) -> None:
        """Leave the threads to end with the process."""

    async def _in_thread(self, invocation: Invocation) -> Answer:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()

        def settle(answer: Answer) -> None:
            if not answered.done():
                answered.set_result(answer)

        def work() -> None:
            # The main thread, where Lambda calls handlers, has an event loop; Mangum and others ask for it.
            asyncio.set_event_loop(asyncio.new_event_loop())
            answer = self._answer(invocation)
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, answer)

        # Not of a pool: the interpreter would wait for its threads, and a handler may never end.
        threading.Thread(target=work, name=invocation.function.name, daemon=True).start()
        return await answered

    def _answer(self, invocation: Invocation) -> Answer:
        try:
            handler = _handler(invocation.function)
            result = handler(json.loads(invocation.payload), self._context(invocation))
            return Answer(json.dumps(result, default=_plain).encode())
        except (Exception, SystemExit) as error:  # whatever a handler raises is its answer
            return _failure(invocation, error)

    def _context(self, invocation: Invocation) -> Context:
        function = invocation.function
        return Context(
            aws_request_id=invocation.request_id,
            function_name=function.name,
            invoked_function_arn=invocation.arn(),
            function_version=invocation.version,
            memory_limit_in_mb=str(function.memory),
            log_group_name=log_group(function.name),
            deadline=time.time() + function.timeout,
        )


def _failure(invocation: Invocation, error: BaseException) -> Answer:
    if isinstance(error, SystemExit):
        return faults.exited(invocation, error.code if isinstance(error.code, int) else int(error.code is not None))
    frames = traceback.format_tb(error.__traceback__)[1:]
    return faults.failure(type(error).__name__, str(error), requestId=invocation.request_id, stackTrace=frames)


def _handler(function: Function) -> Handler:
    """Import a function's handler. Raise ImportError where another function's module has its name."""
    name, _, attribute = function.handler.rpartition(".")
    module = importlib.import_module(name.replace("/", "."))
    code = function.code.resolve()
    if code not in Path(module.__file__ or "").resolve().parents:
        raise ImportError(
            f"Module {name} of {function.name} was loaded from {module.__file__}, not from {code}: "
            "functions with modules of the same name cannot run inline together."
        )
    handler: Handler = getattr(module, attribute)
    return handler


def _plain(value: object) -> float | int:
    """Return what JSON has for a Decimal, the one type beyond JSON's own that Lambda's runtime takes."""
    if not isinstance(value, Decimal):
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    return int(value) if value == value.to_integral_value() else float(value)
