"""Invocations: the event for a function, its response or Lambda's own error, and the outcome."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from parley.functions.variables import function_arn
from parley.template.model import LATEST, Function
from parley.trace import Trace

MAX_RESPONSE_BYTES = 6 * 1024 * 1024 + 100
"""The size of the largest response; the figure is Lambda's own."""

_CONNECTION = re.compile(rb'"connection_?[iI]d"\s*:\s*"([A-Za-z0-9_-]{15}=)"')
"""The first id of a connection in an event: of the connection that it comes from, or is about."""

UNHANDLED = "Unhandled"
THROTTLED = "TooManyRequestsException"


@dataclass(frozen=True, slots=True)
class Invocation:
    """One event for one function. A retry of an asynchronous invocation keeps its request id.

    `caller` is `gateway`, `invoke` (Lambda's Invoke API), `event` (asynchronous), `replay`, or `emulator` for a warm
    start.
    `qualifier` is the alias or version that the caller asked for, `version` the version that runs. `client_context` is
    JSON about the caller's client, if it sent any.
    """

    function: Function
    payload: bytes
    request_id: str
    caller: str = "gateway"
    qualifier: str = LATEST
    version: str = LATEST
    client_context: str | None = None

    def arn(self) -> str:
        """Return the ARN that the caller asked for, with its qualifier."""
        arn = function_arn(self.function.name)
        return arn if self.qualifier == LATEST else f"{arn}:{self.qualifier}"


@dataclass(frozen=True, slots=True)
class FunctionResponse:
    """The JSON that a function returned, or that Lambda returned in its place.

    `function_error` is None for a success.
    """

    payload: bytes
    function_error: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an invocation that has ended.

    `cold` tells whether an environment was started for it. `milliseconds` includes that start, but not the waiting
    for a free environment. `throttled` tells that the invocation did not run. `lines` are the last lines that the
    handler printed. `memory` is the memory used in MB; None if the invocation ended before it was measured.
    """

    payload: bytes
    function_error: str | None
    cold: bool
    milliseconds: float
    request_id: str
    throttled: bool = False
    lines: tuple[str, ...] = ()
    memory: float | None = None


class LaunchError(Exception):
    """No process could be started; the text says why. `type` is the name of the error, as in Lambda's response."""

    def __init__(self, text: str, type: str = "Runtime.LaunchError") -> None:  # noqa: A002
        super().__init__(text)
        self.type = type


class Run:
    """An invocation that an environment works on: timed, with its start and its end recorded in the trace."""

    def __init__(self, invocation: Invocation, cold: bool, trace: Trace) -> None:
        self._invocation = invocation
        self._cold = cold
        self._trace = trace
        self._began = time.perf_counter()
        found = _CONNECTION.search(invocation.payload)
        self._more = {"connection_id": found[1].decode()} if found else {}
        if invocation.qualifier != LATEST:
            self._more["qualifier"] = invocation.qualifier
        self._record("start", {"event": invocation.payload})

    def end(self, response: FunctionResponse, lines: Iterable[str] = (), memory: float | None = None) -> Outcome:
        """Return the outcome with this response, the last printed lines and the memory used in MB."""
        milliseconds = (time.perf_counter() - self._began) * 1000
        used = {} if memory is None else {"memory": round(memory)}
        self._record(
            "end",
            {"answer": response.payload},
            milliseconds=round(milliseconds, 1),
            error=_error_type(response),
            **used,
        )
        return Outcome(
            response.payload,
            response.function_error,
            self._cold,
            milliseconds,
            self._invocation.request_id,
            lines=tuple(lines),
            memory=memory,
        )

    def _record(self, kind: str, content: Mapping[str, bytes], **fields: Any) -> None:
        invocation = self._invocation
        self._trace.record(
            kind,
            content,
            function=invocation.function.name,
            request_id=invocation.request_id,
            caller=invocation.caller,
            cold=self._cold,
            **self._more,
            **fields,
        )


def failure(error_type: str, message: str, **more: Any) -> FunctionResponse:
    """Return the response that reports an error."""
    content = {"errorType": error_type, "errorMessage": message, **more}
    return FunctionResponse(json.dumps(content).encode(), UNHANDLED)


def timed_out(invocation: Invocation) -> FunctionResponse:
    """Return Lambda's response for a function that exceeded its time-out."""
    text = f"Task timed out after {invocation.function.timeout:.2f} seconds"
    return failure("Sandbox.Timedout", f"RequestId: {invocation.request_id} Error: {text}")


def exited(invocation: Invocation, status: int) -> FunctionResponse:
    """Return Lambda's response for a process that ended by itself. A negative `status` is the number of a signal."""
    if status < 0:
        reason = f"with error: signal: {(signal.strsignal(-status) or str(-status)).lower()}"
    else:
        reason = f"with error: exit status {status}" if status else "without providing a reason"
    return failure("Runtime.ExitError", f"RequestId: {invocation.request_id} Error: Runtime exited {reason}")


def not_launched(invocation: Invocation, reason: str, error_type: str = "Runtime.LaunchError") -> FunctionResponse:
    """Return the response if no process could be started. Mostly that would be an error of Lambda itself on AWS."""
    return failure(error_type, f"RequestId: {invocation.request_id} Error: {reason}")


def out_of_memory(invocation: Invocation) -> FunctionResponse:
    """Return Lambda's response for a function that used more memory than it has."""
    reason = "Runtime exited with error: signal: killed"
    return failure("Runtime.ExitError", f"RequestId: {invocation.request_id} Error: {reason}")


def too_large(size: int) -> FunctionResponse:
    """Return Lambda's response for a response of more than `MAX_RESPONSE_BYTES`."""
    text = f"Response payload size ({size} bytes) exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
    return failure("Function.ResponseSizeTooLarge", text)


def throttled(invocation: Invocation) -> Outcome:
    """Return the outcome of an invocation over the function's reserved concurrency."""
    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
    body = {"Reason": reason, "Type": "User", "message": "Rate Exceeded."}
    return Outcome(json.dumps(body).encode(), THROTTLED, False, 0.0, invocation.request_id, throttled=True)


def _error_type(response: FunctionResponse) -> str | None:
    if response.function_error is None:
        return None
    try:
        return str(json.loads(response.payload)["errorType"])
    except (ValueError, TypeError, KeyError):
        return response.function_error
