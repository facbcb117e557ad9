"""The Lambda service: functions by name, invoked synchronously or asynchronously."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import replace

from parley.clock import Clock
from parley.functions import invoke_api
from parley.functions.advice import start_failure
from parley.functions.asynchronous import (
    ONCE,
    AcceptedEvent,
    AsynchronousInvocations,
    CompletedEvent,
    Condition,
    Delivery,
    EventLog,
    NotAccepted,
)
from parley.functions.invocation import FunctionResponse, Invocation, Outcome, throttled
from parley.functions.invoke_api import InvocationType, RawResponse, Refusal
from parley.functions.runner import Runner
from parley.functions.variables import function_arn
from parley.template.model import LATEST, Function
from parley.trace import Trace

_STOP_SECONDS = 0.1
_QUIET_SECONDS = 1.0
_LEAST_MEMORY_MB = 128
_MAX_ERROR_MESSAGE_CHARS = 1024
"""The length of the `ErrorMessage` attribute of a dead letter."""

Enqueue = Callable[[str, str, Mapping[str, str]], None]
"""Sends a message to an SQS queue: the queue's ARN, the body, text attributes."""


class UnknownFunction(Exception):
    """There is no function of this name, or it has no such alias or version."""


class Functions:
    """The functions of a template.

    `runner` runs the invocations. `retry_delay` is the time in seconds before the first retry of an asynchronous
    invocation, `duplicates` the probability that one is delivered twice. `event_log` keeps them for another run.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        trace: Trace,
        runner: Runner,
        *,
        retry_delay: float = 60.0,
        duplicates: float = 0.0,
        clock: Clock | None = None,
        enqueue: Enqueue | None = None,
        event_log: EventLog | None = None,
    ) -> None:
        self._functions = functions
        self._trace = trace
        self._runner = runner
        self._enqueue = enqueue
        self._clock = clock or Clock()
        self._busy_until = self._clock.time()
        self._asynchronous = AsynchronousInvocations(
            self._run, self._on_completed, retry_delay, self._clock, duplicates, event_log
        )
        self.look: Callable[[], None] = lambda: None
        """A look at the functions' code before each event: it calls `renew` if that has changed."""
        self._running: set[asyncio.Task[Outcome]] = set()
        self._concurrency: Counter[str] = Counter()

    async def start(self) -> None:
        """Prepare to run functions. Raises `StartError` if they cannot run in this mode."""
        await self._runner.start()

    async def warm(self, names: Iterable[str] | None = None) -> None:
        """Start these functions, or all, before their first event. The trace records one that does not start."""
        await asyncio.gather(*map(self._warm, self._functions if names is None else names))
        self._busy_until = self._clock.time()

    async def quiet(self) -> None:
        """Return when no function has handled an event for a second. What nobody waits for must not slow an event."""
        while (left := self._busy_until + _QUIET_SECONDS - self._clock.time()) > 0 or self._running:
            await self._clock.sleep(_QUIET_SECONDS if self._running else left)

    async def try_others(self, names: Collection[str]) -> None:
        """Start all but these, one after the other, and end them again. The trace records one that does not start.

        Events come first: it waits while functions handle them.
        """
        for name in [name for name in self._functions if name not in names]:
            await self.quiet()
            await self._warm(name, stays=False)

    def renew(self, functions: Mapping[str, Function], changed: Collection[str]) -> list[str]:
        """Take these functions from now on: the next event of a changed one gets its new code.

        Return those of the changed ones that had loaded their code, the one that was used last first.
        """
        self._functions = functions
        return self._runner.renew(functions, changed)

    async def start_again(self, name: str) -> str:
        """Start a function before its next event. Return why it does not start; empty if it does."""
        if name not in self._functions:
            return ""
        failed = await self._runner.warm(self._invocation(name, b"{}", "emulator"))
        return _reason(failed) if failed else ""

    async def renew_libraries(self, *, changed: bool) -> bool:
        """Load the libraries anew if they have changed, or if the functions import more. Return whether that was so."""
        return await self._runner.renew_libraries(changed=changed)

    async def library_folders(self) -> list[str]:
        """Return the folders with the libraries that are loaded before the functions."""
        return await self._runner.library_folders()

    async def _warm(self, name: str, *, stays: bool = True) -> None:
        function = self._functions.get(name)
        if function is None:
            return  # The template has it no longer.
        if function.interpreter is not None and not function.interpreter.path:
            return  # The template's notes have said so, for all functions that miss it.
        invocation = self._invocation(name, b"{}", "emulator")
        failed = await self._runner.warm(invocation, stays=stays)
        if failed is not None:
            error = json.loads(failed.payload)
            self._trace.record("note", text=start_failure(invocation.function, error))

    async def stop(self) -> None:
        """End everything at once, running invocations included."""
        self._asynchronous.stop()
        await self._runner.stop()
        if self._running:
            await asyncio.wait(self._running, timeout=_STOP_SECONDS)
        for task in self._running:
            task.cancel()

    async def invoke(self, name: str, payload: bytes, qualifier: str = LATEST, caller: str = "gateway") -> Outcome:
        """Invoke a function and wait for it. Raises `UnknownFunction`.

        The function runs to its end even if the caller is cancelled, as on AWS.
        """
        return await self._run(self._invocation(name, payload, caller, qualifier))

    def invoke_later(self, name: str, payload: bytes, delivery: Delivery = ONCE, qualifier: str = LATEST) -> str:
        """Invoke a function asynchronously and return the request id. Raises `UnknownFunction`, `NotAccepted`."""
        invocation = self._invocation(name, payload, "event", qualifier)
        self._asynchronous.put(invocation, delivery)
        return invocation.request_id

    @property
    def work(self) -> Set[asyncio.Task[Outcome]]:
        """The invocations that run, or wait for an environment."""
        return self._running

    def drop_events(self) -> None:
        """Drop the asynchronous events that are not completed: they are neither delivered nor retried."""
        self._asynchronous.stop()

    def end_running(self) -> list[str]:
        """Kill the environments that handle an event. Return the names of their functions."""
        return self._runner.end_running()

    def end_idle(self) -> None:
        """Kill the environments that wait for an event."""
        self._runner.end_idle()

    def resume(
        self, name: str, payload: bytes, qualifier: str, request_id: str, accepted: float, attempts: int
    ) -> None:
        """Go on with an event that an earlier run has accepted. Raises `UnknownFunction`."""
        invocation = replace(self._invocation(name, payload, "event", qualifier), request_id=request_id)
        self._asynchronous.resume(AcceptedEvent(invocation, accepted, attempts))

    def deliver(self, arn: str, payload: bytes, source: str) -> None:
        """Send to the function or the queue with this ARN, in the name of `source`. A note says if there is none."""
        self._send(arn, payload, {}, source)

    def caller(self, access_key: str) -> str:
        """Return the name of the function whose process signs with this key; empty if there is no such process."""
        return self._runner.caller(access_key)

    def request(self, access_key: str) -> str:
        """Return the id of the event that the process with this key handles; empty if there is none."""
        return self._runner.request(access_key)

    def kill(self, access_key: str) -> None:
        """Kill the process that signs with this key, if there is one."""
        self._runner.kill(access_key)

    def freeze(self, access_key: str, seconds: float) -> None:
        """Stop the process that signs with this key, if there is one, and let it go on after this many seconds."""
        self._runner.freeze(access_key, seconds)

    def memory(self, name: str) -> int:
        """Return the memory of a function in MB, as the template says; the least there is if it has gone."""
        function = self._functions.get(name)
        return function.memory if function else _LEAST_MEMORY_MB

    async def http_invoke(
        self, path: str, headers: Mapping[str, str], body: bytes, delivery: Delivery = ONCE, query: str = ""
    ) -> RawResponse:
        """Answer `POST /2015-03-31/functions/{path}/invocations`. `path` is what `invoke_api.reference` reads."""
        try:
            reference = invoke_api.reference(path, query)
            return await self._answer(reference, headers, body, delivery)
        except Refusal as refusal:
            return refusal.response()

    async def _answer(
        self, reference: invoke_api.Reference, headers: Mapping[str, str], body: bytes, delivery: Delivery
    ) -> RawResponse:
        name, qualifier = reference.name, reference.qualifier
        if not self._exists(name, qualifier):
            invoke_api.refuse_unknown(name, qualifier)
        kind = invoke_api.invocation_type(headers)
        payload = invoke_api.payload(body, kind)
        if kind is InvocationType.DRY_RUN:
            return invoke_api.dry_run()
        if kind is InvocationType.EVENT:
            try:
                return invoke_api.accepted(self.invoke_later(name, payload, delivery, qualifier))
            except NotAccepted as error:
                invoke_api.refuse_unkept(str(error))
        context = invoke_api.client_context(headers)
        invocation = replace(self._invocation(name, payload, "invoke", qualifier), client_context=context)
        return invoke_api.answered(await self._run(invocation), invocation, headers)

    def _exists(self, name: str, qualifier: str) -> bool:
        return name in self._functions and _version(self._functions[name], qualifier) is not None

    def _invocation(self, name: str, payload: bytes, caller: str, qualifier: str = LATEST) -> Invocation:
        function = self._functions.get(name)
        version = _version(function, qualifier) if function else None
        if function is None or version is None:
            raise UnknownFunction(f"There is no function {name!r} with the qualifier {qualifier}.")
        return Invocation(function, payload, str(uuid.uuid4()), caller, qualifier, version)

    async def _run(self, invocation: Invocation) -> Outcome:
        self.look()
        # As it is now: a retry of an asynchronous event may come long after the event.
        function = self._functions.get(invocation.function.name, invocation.function)
        if function is not invocation.function:
            invocation = replace(invocation, function=function)
        name, reserved = function.name, function.reserved_concurrency
        if reserved is not None and self._concurrency[name] >= reserved:
            self._trace.record("throttle", function=name, request_id=invocation.request_id, reserved=reserved)
            return throttled(invocation)
        self._concurrency[name] += 1
        task = asyncio.ensure_future(self._runner.run(invocation))
        self._running.add(task)
        task.add_done_callback(self._rest)
        task.add_done_callback(lambda _: self._concurrency.subtract([name]))
        # A caller that is cancelled, as by API Gateway's time limit, must not end the function: on AWS it runs on.
        return await asyncio.shield(task)

    def _rest(self, task: asyncio.Task[Outcome]) -> None:
        self._running.discard(task)
        self._busy_until = self._clock.time()

    def _on_completed(self, event: CompletedEvent) -> None:
        """Send the record of a completed asynchronous event to the function's destination, if it has one."""
        invocation = event.invocation
        config = invocation.function.invoke_config(invocation.qualifier)
        if event.condition is Condition.SUCCESS:
            destination = config.on_success
        else:
            destination = config.on_failure
            self._give_up(event)
        if destination:
            record = event.record(function_arn(invocation.function.name))
            self._send(destination, record, {}, invocation.function.name)

    def _give_up(self, event: CompletedEvent) -> None:
        """Record an event that was given up, and send it to the function's dead-letter queue, if it has one."""
        invocation, function = event.invocation, event.invocation.function
        self._trace.record(
            "dead_letter",
            function=function.name,
            request_id=invocation.request_id,
            condition=event.condition.value,
            attempts=event.attempts,
            queue=function.dead_letter,
            destination=function.invoke_config(invocation.qualifier).on_failure,
        )
        if function.dead_letter:
            error = json.loads(event.outcome.payload)
            attributes = {
                "RequestID": invocation.request_id,
                "ErrorCode": "200",
                "ErrorMessage": str(error.get("errorMessage", ""))[:_MAX_ERROR_MESSAGE_CHARS],
            }
            self._send(function.dead_letter, invocation.payload, attributes, function.name)

    def _send(self, arn: str, body: bytes, attributes: Mapping[str, str], source: str) -> None:
        """Send to the function or to the queue with this ARN."""
        reference = invoke_api.reference(arn)
        if ":lambda:" in arn and self._exists(reference.name, reference.qualifier):
            try:
                self.invoke_later(reference.name, body, qualifier=reference.qualifier)
            except NotAccepted as error:
                self._trace.record("note", text=f"{source} sends to {arn}, which is lost: {error}.")
        elif ":sqs:" in arn and self._enqueue:
            self._enqueue(arn, body.decode(), attributes)
        else:
            text = (
                f"{source} sends to {arn}. That is neither a function nor a queue of this template; nothing was sent."
            )
            self._trace.record("note", text=text)


def _reason(failed: FunctionResponse) -> str:
    error = json.loads(failed.payload)
    return f"{error['errorType']}: {error['errorMessage']}"


def _version(function: Function, qualifier: str) -> str | None:
    """Return the version that a qualifier means; None if the function has no such qualifier."""
    if qualifier == LATEST or qualifier in function.aliases.values():
        return qualifier
    return function.aliases.get(qualifier)
