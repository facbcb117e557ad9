"""Functions as threads of the emulator's own process, for a debugger. Less like AWS than processes.

All functions share variables and modules. A time-out is reported but ends nothing. A handler's output goes to the
terminal.
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
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from parley.clock import Clock
from parley.faults.injector import Injector
from parley.functions.invocation import FunctionResponse, Invocation, Outcome, Run, exited, failure, timed_out
from parley.functions.processes import names
from parley.functions.variables import log_group, module_folders, of_service
from parley.template.model import LATEST, PYTHON, Function
from parley.trace import Trace

Handler = Callable[[Any, "Context"], Any]
T = TypeVar("T")

_LOG_STREAM = "inline"
_CLIENT = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class Context:
    """The context that a handler gets, by Lambda's names."""

    identity = SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None)
    log_stream_name = _LOG_STREAM

    def __init__(self, invocation: Invocation) -> None:
        function = invocation.function
        self.aws_request_id = invocation.request_id
        self.function_name = function.name
        self.function_version = invocation.version
        self.invoked_function_arn = invocation.arn()
        self.memory_limit_in_mb = str(function.memory)
        self.log_group_name = log_group(function)
        self.client_context = _client_context(invocation.client_context)
        self._deadline = time.time() + function.timeout

    def get_remaining_time_in_millis(self) -> int:
        """Return the rest of the time-out in milliseconds; never less than 0."""
        return max(0, int((self._deadline - time.time()) * 1000))


def _client_context(sent: str | None) -> SimpleNamespace | None:
    """Return a client context with the attributes that AWS's runtime gives it."""
    if sent is None:
        return None
    found = json.loads(sent)
    client = found.get("client")
    return SimpleNamespace(
        custom=found.get("custom"),
        env=found.get("env"),
        client=SimpleNamespace(**{name: client.get(name) for name in _CLIENT}) if isinstance(client, dict) else None,
    )


class Inline:
    """The runner with threads."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        trace: Trace,
        environments: int,
        clock: Clock,
        injector: Injector | None = None,
    ) -> None:
        self._functions = functions
        self._trace = trace
        self._clock = clock
        self._injector = injector
        self._free = {name: asyncio.Semaphore(environments) for name in functions}
        self._used: set[str] = set()

    async def start(self) -> None:
        """Give this process the variables of all functions, and the folders of their code."""
        for function in self._functions.values():
            if function.language != PYTHON:
                self._trace.record("note", text=_not_inline(function))
                continue
            folders = [str(function.code.absolute()), *module_folders(function)]
            sys.path[:0] = [folder for folder in folders if folder not in sys.path]
            for name, value in function.environment.items():
                if os.environ.get(name, value) != value:
                    text = f"{name} is now {function.name}'s for all functions, because functions run inline."
                    self._trace.record("note", text=text)
            os.environ.update({**of_service(function, LATEST, _LOG_STREAM), **function.environment})
        names.install(os.environ)

    async def warm(self, invocation: Invocation, *, stays: bool = True) -> FunctionResponse | None:
        """Import a function's handler. Return the error if that fails."""
        # Not in the event loop's thread: a module may call the emulator while it is imported.
        return await _in_thread(invocation.function.name, lambda: _import(invocation))

    async def run(self, invocation: Invocation) -> Outcome:
        """Handle an event of one of the functions."""
        function = invocation.function
        async with self._free[function.name]:
            run = Run(invocation, function.name not in self._used, self._trace)
            self._used.add(function.name)
            self._record_due_fault(invocation)
            handled = asyncio.ensure_future(_in_thread(function.name, lambda: _call(invocation)))
            try:
                in_time = await self._clock.within(function.timeout, handled)
                return run.end(handled.result() if in_time else timed_out(invocation))
            finally:
                handled.cancel()

    def renew(self, functions: Mapping[str, Function], changed: Collection[str]) -> list[str]:
        """Do nothing: what this process has imported stays."""
        return []

    async def renew_libraries(self, *, changed: bool) -> bool:
        """Do nothing, as well."""
        return False

    async def library_folders(self) -> list[str]:
        """Return none: functions load their libraries themselves."""
        return []

    def caller(self, access_key: str) -> str:
        """Return an empty name: all functions sign with the same key."""
        return ""

    def request(self, access_key: str) -> str:
        """Return an empty id: all functions sign with the same key."""
        return ""

    def kill(self, access_key: str) -> None:
        """Do nothing: there is no process but the emulator's own."""

    def freeze(self, access_key: str, seconds: float) -> None:
        """Do nothing: there is no process but the emulator's own."""

    def end_running(self) -> list[str]:
        """Do nothing: nobody can end a thread."""
        return []

    def end_idle(self) -> None:
        """Do nothing: there are no environments."""

    async def stop(self) -> None:
        """Do nothing: the threads end with the process."""

    def _record_due_fault(self, invocation: Invocation) -> None:
        if self._injector is None:
            return
        fault = self._injector.at_run(invocation.function.name, invocation.payload, invocation.request_id)
        if fault is not None:
            self._injector.record_impossible(fault)


async def _in_thread(name: str, work: Callable[[], T]) -> T:
    """Return what `work` returns in a thread of this name."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T) -> None:
        if not done.done():
            done.set_result(result)

    def run() -> None:
        # Lambda calls handlers in the main thread, which has an event loop; Mangum and others ask for it.
        asyncio.set_event_loop(asyncio.new_event_loop())
        result = work()
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result)

    # Not a thread pool: at exit the interpreter waits for a pool's threads, and a handler may never end.
    threading.Thread(target=run, name=name, daemon=True).start()
    return await done


def _import(invocation: Invocation) -> FunctionResponse | None:
    try:
        _handler(invocation.function)
    except (Exception, SystemExit) as error:
        return _failure(invocation, error)
    return None


def _call(invocation: Invocation) -> FunctionResponse:
    try:
        handler = _handler(invocation.function)
        result = handler(json.loads(invocation.payload), Context(invocation))
        return FunctionResponse(json.dumps(result, default=_plain).encode())
    except (Exception, SystemExit) as error:  # every error of a handler is its response
        return _failure(invocation, error)


def _failure(invocation: Invocation, error: BaseException) -> FunctionResponse:
    if isinstance(error, SystemExit):
        return exited(invocation, error.code if isinstance(error.code, int) else int(error.code is not None))
    frames = traceback.format_tb(error.__traceback__)[1:]
    return failure(type(error).__name__, str(error), requestId=invocation.request_id, stackTrace=frames)


def _handler(function: Function) -> Handler:
    """Import a function's handler. Raises `ImportError` if another function's module has the same name."""
    if function.language != PYTHON:
        raise ImportError(_not_inline(function))
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


def _not_inline(function: Function) -> str:
    return f"{function.name} ({function.runtime}) runs as a process only. Leave out `--functions inline`."


def _plain(value: object) -> float | int:
    """Return a Decimal as JSON has it. Lambda's runtime takes this type beyond JSON's own, and no other."""
    if not isinstance(value, Decimal):
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    return int(value) if value == value.to_integral_value() else float(value)
