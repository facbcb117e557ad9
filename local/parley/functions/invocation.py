"""What is asked of a function, what came of it, and the errors that Lambda itself answers with."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from parley.functions.variables import function_arn
from parley.template.model import LATEST, Function
from parley.trace import Trace

RESPONSE_BYTES = 6 * 1024 * 1024 + 100
"""The largest response, in bytes; Lambda's own figure."""

UNHANDLED = "Unhandled"
THROTTLED = "TooManyRequestsException"


@dataclass(frozen=True, slots=True)
class Invocation:
    """One event for one function. A retry of an asynchronous invocation keeps its request id.

    `caller` is who wants it done: `gateway`, `invoke` (Lambda's Invoke API), or `event` (nobody waits for it).
    `qualifier` is the alias or version that was asked for, `version` the one that runs.
    """

    function: Function
    payload: bytes
    request_id: str
    caller: str = "gateway"
    qualifier: str = LATEST
    version: str = LATEST

    def arn(self) -> str:
        """Return the ARN as it was asked for, with its qualifier."""
        arn = function_arn(self.function.name)
        return arn if self.qualifier == LATEST else f"{arn}:{self.qualifier}"


@dataclass(frozen=True, slots=True)
class Answer:
    """The JSON that a function, or Lambda in its place, answered; `function_error` is None for a success."""

    payload: bytes
    function_error: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """An invocation that has ended.

    `cold` tells that an environment was started for it, `milliseconds` includes that start but no waiting for a
    free environment. `throttled` tells that it did not run at all. `lines` are the last that the handler printed;
    `memory` is how many MB it used, None for one that was over before anybody looked.
    """

    payload: bytes
    function_error: str | None
    cold: bool
    milliseconds: float
    request_id: str
    throttled: bool = False
    lines: tuple[str, ...] = ()
    memory: float | None = None


class Run:
    """An invocation while an environment is at work on it: timed, its start and its end told to the trace."""

    def __init__(self, invocation: Invocation, cold: bool, trace: Trace) -> None:
        self._invocation = invocation
        self._cold = cold
        self._trace = trace
        self._began = time.perf_counter()
        self._record("start")

    def end(self, answer: Answer, lines: Iterable[str] = (), memory: float | None = None) -> Outcome:
        """Return the outcome that this answer makes, with the last lines that were printed and the MB used."""
        milliseconds = (time.perf_counter() - self._began) * 1000
        used = {} if memory is None else {"memory": round(memory)}
        self._record("end", milliseconds=round(milliseconds, 1), error=_error_type(answer), **used)
        return Outcome(
            answer.payload,
            answer.function_error,
            self._cold,
            milliseconds,
            self._invocation.request_id,
            lines=tuple(lines),
            memory=memory,
        )

    def _record(self, kind: str, **fields: Any) -> None:
        invocation = self._invocation
        self._trace.record(
            kind,
            function=invocation.function.name,
            request_id=invocation.request_id,
            caller=invocation.caller,
            cold=self._cold,
            **fields,
        )


def failure(error_type: str, message: str, **more: Any) -> Answer:
    """Return the answer that reports an error."""
    return Answer(json.dumps({"errorType": error_type, "errorMessage": message, **more}).encode(), UNHANDLED)


def timed_out(invocation: Invocation) -> Answer:
    """Return what Lambda answers for a function that took longer than its time-out."""
    text = f"Task timed out after {invocation.function.timeout:.2f} seconds"
    return failure("Sandbox.Timedout", f"RequestId: {invocation.request_id} Error: {text}")


def exited(invocation: Invocation, status: int) -> Answer:
    """Return what Lambda answers for a process that ended by itself; a negative `status` is a signal's number."""
    if status < 0:
        reason = f"with error: signal: {(signal.strsignal(-status) or str(-status)).lower()}"
    else:
        reason = f"with error: exit status {status}" if status else "without providing a reason"
    return failure("Runtime.ExitError", f"RequestId: {invocation.request_id} Error: Runtime exited {reason}")


def not_launched(invocation: Invocation, reason: str) -> Answer:
    """Return the answer where no process could be started; in the cloud that would be Lambda's own fault."""
    return failure("Runtime.LaunchError", f"RequestId: {invocation.request_id} Error: {reason}")


def out_of_memory(invocation: Invocation) -> Answer:
    """Return what Lambda answers for a function that used more memory than it has."""
    reason = "Runtime exited with error: signal: killed"
    return failure("Runtime.ExitError", f"RequestId: {invocation.request_id} Error: {reason}")


def throttled(invocation: Invocation) -> Outcome:
    """Return the outcome of an invocation beyond the function's reserved concurrency."""
    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
    body = {"Reason": reason, "Type": "User", "message": "Rate Exceeded."}
    return Outcome(json.dumps(body).encode(), THROTTLED, False, 0.0, invocation.request_id, throttled=True)


def too_large(size: int) -> Answer:
    """Return what Lambda answers for a response of more than `RESPONSE_BYTES`."""
    text = f"Response payload size ({size} bytes) exceeded maximum allowed payload size ({RESPONSE_BYTES} bytes)."
    return failure("Function.ResponseSizeTooLarge", text)


def _error_type(answer: Answer) -> str | None:
    if answer.function_error is None:
        return None
    try:
        return str(json.loads(answer.payload)["errorType"])
    except (ValueError, TypeError, KeyError):
        return answer.function_error
