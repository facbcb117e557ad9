"""The Lambda service: functions by name, invoked and waited for or not."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from typing import Literal

from local.errors import StartError
from local.functions import invoke_api
from local.functions.asynchronous import ONCE, Asynchronous, Delivery, GivenUp
from local.functions.inline import Inline
from local.functions.invoke_api import InvocationType, Refusal, Response
from local.functions.outcome import Invocation, Outcome
from local.functions.pools import Pools
from local.functions.variables import function_arn
from local.injector import Injector
from local.template.model import Function
from local.trace import Trace

_STOP_SECONDS = 0.1


class UnknownFunction(Exception):
    """There is no function of this name."""


class Functions:
    """The functions of a template.

    `environments` is how many events of one function are handled at once, `retry_delay` how many seconds pass
    before the first retry of an asynchronous invocation.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        trace: Trace,
        *,
        mode: Literal["process", "inline"] = "process",
        environments: int = 10,
        retry_delay: float = 60.0,
        region: str = "us-east-1",
        injector: Injector | None = None,
    ) -> None:
        runner = Pools if mode == "process" else Inline
        self._functions = functions
        self._trace = trace
        self._region = region
        self._runner = runner(functions, trace, environments, region, injector)
        self._asynchronous = Asynchronous(self._run, self._give_up, retry_delay)
        self._running: set[asyncio.Task[Outcome]] = set()

    async def start(self) -> None:
        """Make ready to run functions. Raise StartError where they cannot run in this mode."""
        await self._runner.start()

    async def warm(self) -> None:
        """Start each function ahead of its first event. Raise StartError where one does not start."""
        await asyncio.gather(*map(self._warm, self._functions))

    async def _warm(self, name: str) -> None:
        invocation = self._invocation(name, b"{}", "emulator")
        failed = await self._runner.warm(invocation)
        if failed is not None:
            error = json.loads(failed.payload)
            raise StartError(
                f"Function {name} does not start: importing its handler {invocation.function.handler} "
                f"ended with {error['errorType']}: {error['errorMessage']}. Mend that, or install what is missing."
            )

    async def stop(self) -> None:
        """End everything at once, invocations that run included."""
        self._asynchronous.stop()
        await self._runner.stop()
        if self._running:
            await asyncio.wait(self._running, timeout=_STOP_SECONDS)
        for task in self._running:
            task.cancel()

    async def invoke(self, name: str, payload: bytes, caller: str = "gateway") -> Outcome:
        """Invoke a function and wait for it. Raise UnknownFunction.

        It runs to its end even where the caller is cancelled, as on AWS.
        """
        return await self._run(self._invocation(name, payload, caller))

    def invoke_later(self, name: str, payload: bytes, delivery: Delivery = ONCE) -> str:
        """Invoke a function asynchronously. Return the request id. Raise UnknownFunction."""
        invocation = self._invocation(name, payload, "event")
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
        self, name: str, headers: Mapping[str, str], body: bytes, delivery: Delivery = ONCE
    ) -> Response:
        """Answer `POST /2015-03-31/functions/{name}/invocations`. The name may be an ARN, or carry a qualifier."""
        try:
            return await self._answer(invoke_api.function_name(name), headers, body, delivery)
        except Refusal as refusal:
            return refusal.response()

    async def _answer(self, name: str, headers: Mapping[str, str], body: bytes, delivery: Delivery) -> Response:
        if name not in self._functions:
            invoke_api.refuse_unknown(name, self._region)
        kind = invoke_api.invocation_type(headers)
        payload = invoke_api.payload(body, kind)
        if kind is InvocationType.DRY_RUN:
            return invoke_api.would_run()
        if kind is InvocationType.EVENT:
            return invoke_api.accepted(self.invoke_later(name, payload, delivery))
        return invoke_api.answered(await self.invoke(name, payload, "invoke"))

    def _invocation(self, name: str, payload: bytes, caller: str) -> Invocation:
        if name not in self._functions:
            raise UnknownFunction(f"There is no function {name!r}.")
        return Invocation(self._functions[name], payload, str(uuid.uuid4()), caller)

    async def _run(self, invocation: Invocation) -> Outcome:
        task = asyncio.ensure_future(self._runner.run(invocation))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    def _give_up(self, given_up: GivenUp) -> None:
        """Tell the trace, and hand the event to the function's on-failure destination where that is a function."""
        function = given_up.invocation.function
        on_failure = function.invoke_config(given_up.invocation.qualifier).on_failure
        self._trace.record(
            "dead_letter",
            function=function.name,
            request_id=given_up.invocation.request_id,
            condition=given_up.condition.value,
            attempts=given_up.attempts,
            queue=function.dead_letter,
            destination=on_failure,
        )
        destination = invoke_api.function_name(on_failure or "")
        if destination in self._functions:
            self.invoke_later(destination, given_up.record(function_arn(function.name, self._region)))
