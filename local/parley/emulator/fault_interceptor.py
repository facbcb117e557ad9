"""Faults between the gateway, the functions and the services that functions call, as the fault plan says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Set

from parley.asgi import Response
from parley.emulator.abort import ConnectionAborted
from parley.emulator.call_log import ServiceCall
from parley.faults.injector import Injector
from parley.faults.plan import Fault
from parley.faults.responses import error_response
from parley.functions.asynchronous import ONCE, Delivery
from parley.functions.invocation import Outcome
from parley.functions.service import Functions

_AFTER = {
    "deliver-410": "410",
    "deliver-500": "500",
    "deliver-reset": "reset",
    "cut": "reset",
    "kill-after": "kill",
}
"""Actions that let the call have its effect first, each with the action that follows."""

_EVENT_POINTS = {"CONNECT": "connect", "MESSAGE": "message", "DISCONNECT": "disconnect"}
_SUCCESS = Outcome(b'{"statusCode": 200}', None, cold=False, milliseconds=0.0, request_id="")

Proceed = Callable[[Delivery], Awaitable[Response]]
"""Lets the service carry out a call. Only asynchronous invocations use the delivery."""


class FaultInterceptor:
    """The emulator's part between the gateway, the functions, and the services that functions call."""

    def __init__(self, injector: Injector, functions: Functions) -> None:
        self._injector = injector
        self._functions = functions
        self._second_invocations: set[asyncio.Task[Outcome]] = set()

    @property
    def work(self) -> Set[asyncio.Task[Outcome]]:
        """The second invocations that run because of a fault."""
        return self._second_invocations

    async def invoke(self, name: str, payload: bytes, qualifier: str) -> Outcome:
        """Invoke a function with an event of the gateway's, and apply the fault that is due."""
        if self._injector.is_idle:
            return await self._functions.invoke(name, payload, qualifier)
        event = json.loads(payload)
        if event.get("type") == "REQUEST":  # an authorizer's event: the plan has no point for it
            return await self._functions.invoke(name, payload, qualifier)
        context = event["requestContext"]
        subject = f"{name} {payload.decode()}"
        ids = {"function": name, "connection_id": context["connectionId"]}
        fault = self._injector.at(_EVENT_POINTS[context["eventType"]], subject, **ids)
        if fault is not None:
            await asyncio.sleep(fault.seconds)
            if fault.do in ("drop", "lose"):
                # The gateway sees a success; the function never gets the event.
                return _SUCCESS
            if fault.do == "twice":
                second = asyncio.create_task(self._functions.invoke(name, payload, qualifier))
                # The event loop keeps only weak references to tasks.
                self._second_invocations.add(second)
                second.add_done_callback(self._second_invocations.discard)
        return await self._functions.invoke(name, payload, qualifier)

    async def call(self, call: ServiceCall, proceed: Proceed) -> Response:
        """Answer a call of a service, and apply the fault that is due. Raises `ConnectionAborted`."""
        strikes = call.point and not self._injector.is_idle
        fault = self._injector.at(call.point or "", call.subject, **call.ids()) if strikes else None
        if fault is None:
            return await proceed(ONCE)
        if fault.do in ("kill", "kill-after", "freeze") and not call.caller:
            self._injector.record_impossible(fault)
            return await proceed(ONCE)
        return await self._apply(fault, call, proceed)

    async def _apply(self, fault: Fault, call: ServiceCall, proceed: Proceed) -> Response:
        match fault.do:
            case "twice" | "delay" | "lose" if call.point == "invoke":
                # Lambda accepts the event at once; the fault applies to its delivery.
                return await proceed(Delivery({"twice": 2, "lose": 0}.get(fault.do, 1), fault.seconds))
            case "twice":
                await proceed(ONCE)
                return await proceed(ONCE)
            case "delay":
                await asyncio.sleep(fault.seconds)
                return await proceed(ONCE)
            case "freeze":
                self._functions.freeze(call.access_key, fault.seconds)
                return await proceed(ONCE)
            case action:
                if fault.after or action in _AFTER:
                    await proceed(ONCE)
                return await self._fail(_AFTER.get(action, action), fault, call)

    async def _fail(self, action: str, fault: Fault, call: ServiceCall) -> Response:
        match action:
            case "kill":
                self._functions.kill(call.access_key)
                raise ConnectionAborted
            case "hang":
                await asyncio.sleep(fault.seconds)
                raise ConnectionAborted
            case "reset":
                raise ConnectionAborted
            case "lose" if call.point == "store":
                raise ConnectionAborted
            case "lose":
                return Response(200)
            case status:
                return error_response(call.point or "", status, call.body)
