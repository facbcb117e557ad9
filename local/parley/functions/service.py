"""The Lambda service: functions by name, invoked and waited for or not."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Literal

from parley.clock import Clock
from parley.faults.injector import Injector
from parley.functions import invoke_api
from parley.functions.asynchronous import ONCE, Asynchronous, Condition, Delivery, Handled
from parley.functions.inline import Inline
from parley.functions.invocation import Invocation, Outcome, throttled
from parley.functions.invoke_api import InvocationType, Refusal, Response
from parley.functions.pools import Pools
from parley.functions.processes.launch import Parent
from parley.functions.variables import function_arn
from parley.template.model import LATEST, Function
from parley.trace import Trace

_STOP_SECONDS = 0.1

Enqueue = Callable[[str, str, Mapping[str, str]], None]
"""Sends to a queue of SQS's: its ARN, the body, text attributes."""


class UnknownFunction(Exception):
    """There is no function of this name, or it has no such alias or version."""


class Functions:
    """The functions of a template.

    `environments` is how many events of one function are handled at once, `retry_delay` how many seconds pass
    before the first retry of an asynchronous invocation, `duplicates` the likelihood that one is delivered twice.
    `parent` is the zygote that environments are forked from, if it runs already.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        trace: Trace,
        *,
        mode: Literal["process", "inline"] = "process",
        environments: int = 10,
        retry_delay: float = 60.0,
        duplicates: float = 0.0,
        clock: Clock | None = None,
        enqueue: Enqueue | None = None,
        injector: Injector | None = None,
        parent: Parent | None = None,
    ) -> None:
        runner = Pools if mode == "process" else Inline
        clock = clock or Clock()
        self._functions = functions
        self._trace = trace
        self._enqueue = enqueue
        self._runner = runner(functions, trace, environments, clock, injector, parent)
        self._asynchronous = Asynchronous(self._run, self._settle, retry_delay, clock, duplicates)
        self._running: set[asyncio.Task[Outcome]] = set()
        self._concurrency: Counter[str] = Counter()

    async def start(self) -> None:
        """Make ready to run functions. Raise StartError where they cannot run in this mode."""
        await self._runner.start()

    async def warm(self) -> None:
        """Start each function ahead of its first event. One that does not start is told to the trace."""
        await asyncio.gather(*map(self._warm, self._functions))

    async def _warm(self, name: str) -> None:
        invocation = self._invocation(name, b"{}", "emulator")
        failed = await self._runner.warm(invocation)
        if failed is not None:
            error = json.loads(failed.payload)
            self._trace.record(
                "note",
                text=f"Function {name} does not start, every invocation will fail: importing its handler "
                f"{invocation.function.handler} ended with {error['errorType']}: {error['errorMessage']}. "
                "Mend that, or install what is missing.",
            )

    async def stop(self) -> None:
        """End everything at once, invocations that run included."""
        self._asynchronous.stop()
        await self._runner.stop()
        if self._running:
            await asyncio.wait(self._running, timeout=_STOP_SECONDS)
        for task in self._running:
            task.cancel()

    async def invoke(self, name: str, payload: bytes, qualifier: str = LATEST, caller: str = "gateway") -> Outcome:
        """Invoke a function and wait for it. Raise UnknownFunction.

        It runs to its end even where the caller is cancelled, as on AWS.
        """
        return await self._run(self._invocation(name, payload, caller, qualifier))

    def invoke_later(self, name: str, payload: bytes, delivery: Delivery = ONCE, qualifier: str = LATEST) -> str:
        """Invoke a function asynchronously. Return the request id. Raise UnknownFunction."""
        invocation = self._invocation(name, payload, "event", qualifier)
        self._asynchronous.put(invocation, delivery)
        return invocation.request_id

    def caller(self, access_key: str) -> str:
        """Return the name of the function that signs its requests to AWS with this key, where one does."""
        return self._runner.caller(access_key)

    def kill(self, access_key: str) -> None:
        """Kill the process that signs with this key, if there is one."""
        self._runner.kill(access_key)

    def freeze(self, access_key: str, seconds: float) -> None:
        """Stop the process that signs with this key, if there is one, and let it go on after so many seconds."""
        self._runner.freeze(access_key, seconds)

    async def http_invoke(
        self, path: str, headers: Mapping[str, str], body: bytes, delivery: Delivery = ONCE, query: str = ""
    ) -> Response:
        """Answer `POST /2015-03-31/functions/{path}/invocations`. The path is a name, an ARN, or either qualified."""
        try:
            reference = invoke_api.reference(path, query)
            return await self._answer(reference, headers, body, delivery)
        except Refusal as refusal:
            return refusal.response()

    async def _answer(
        self, reference: invoke_api.Reference, headers: Mapping[str, str], body: bytes, delivery: Delivery
    ) -> Response:
        name, qualifier = reference.name, reference.qualifier
        if not self._is_there(name, qualifier):
            invoke_api.refuse_unknown(name, qualifier)
        kind = invoke_api.invocation_type(headers)
        payload = invoke_api.payload(body, kind)
        if kind is InvocationType.DRY_RUN:
            return invoke_api.would_run()
        if kind is InvocationType.EVENT:
            return invoke_api.accepted(self.invoke_later(name, payload, delivery, qualifier))
        invocation = self._invocation(name, payload, "invoke", qualifier)
        return invoke_api.answered(await self._run(invocation), invocation, headers)

    def _is_there(self, name: str, qualifier: str) -> bool:
        return name in self._functions and _version(self._functions[name], qualifier) is not None

    def _invocation(self, name: str, payload: bytes, caller: str, qualifier: str = LATEST) -> Invocation:
        function = self._functions.get(name)
        version = _version(function, qualifier) if function else None
        if function is None or version is None:
            raise UnknownFunction(f"There is no function {name!r} with the qualifier {qualifier}.")
        return Invocation(function, payload, str(uuid.uuid4()), caller, qualifier, version)

    async def _run(self, invocation: Invocation) -> Outcome:
        name, reserved = invocation.function.name, invocation.function.reserved_concurrency
        if reserved is not None and self._concurrency[name] >= reserved:
            self._trace.record("throttle", function=name, request_id=invocation.request_id, reserved=reserved)
            return throttled(invocation)
        self._concurrency[name] += 1
        task = asyncio.ensure_future(self._runner.run(invocation))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: self._concurrency.subtract([name]))
        return await asyncio.shield(task)

    def _settle(self, handled: Handled) -> None:
        """Hand an asynchronous event that was handled, or given up, to whoever is to know of it."""
        invocation = handled.invocation
        config = invocation.function.invoke_config(invocation.qualifier)
        if handled.condition is Condition.SUCCESS:
            destination = config.on_success
        else:
            destination = config.on_failure
            self._give_up(handled)
        if destination:
            record = handled.record(function_arn(invocation.function.name))
            self._send(destination, record, {}, invocation.function.name)

    def _give_up(self, handled: Handled) -> None:
        invocation, function = handled.invocation, handled.invocation.function
        self._trace.record(
            "dead_letter",
            function=function.name,
            request_id=invocation.request_id,
            condition=handled.condition.value,
            attempts=handled.attempts,
            queue=function.dead_letter,
            destination=function.invoke_config(invocation.qualifier).on_failure,
        )
        if function.dead_letter:
            error = json.loads(handled.outcome.payload)
            attributes = {
                "RequestID": invocation.request_id,
                "ErrorCode": "200",
                "ErrorMessage": str(error.get("errorMessage", ""))[:1024],
            }
            self._send(function.dead_letter, invocation.payload, attributes, function.name)

    def _send(self, arn: str, body: bytes, attributes: Mapping[str, str], source: str) -> None:
        """Send to a function or to a queue, by its ARN."""
        reference = invoke_api.reference(arn)
        if ":lambda:" in arn and self._is_there(reference.name, reference.qualifier):
            self.invoke_later(reference.name, body, qualifier=reference.qualifier)
        elif ":sqs:" in arn and self._enqueue:
            self._enqueue(arn, body.decode(), attributes)
        else:
            self._trace.record("note", text=f"{source} sends to {arn}, which is neither a function nor a queue here.")


def _version(function: Function, qualifier: str) -> str | None:
    """Return the version that a qualifier means; None for none of this function's."""
    if qualifier == LATEST or qualifier in function.aliases.values():
        return qualifier
    return function.aliases.get(qualifier)
