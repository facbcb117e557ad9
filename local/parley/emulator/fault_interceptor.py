"""Lets what passes between functions and services go wrong, as the plan of faults says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from parley.asgi import Response, Scope
from parley.emulator.abort import Cut
from parley.emulator.variables import DYNAMODB_PATH, INVOKE_PATH
from parley.faults.injector import Injector
from parley.faults.plan import Fault
from parley.faults.responses import failure
from parley.functions.asynchronous import ONCE, Delivery
from parley.functions.invocation import Outcome
from parley.functions.invoke_api import InvocationType, reference
from parley.functions.service import Functions
from parley.gateway.events import decode_headers

_ACCESS_KEY = re.compile(r"Credential=([^/]+)/")
_AFTER = {
    "deliver-410": "410",
    "deliver-500": "500",
    "deliver-reset": "reset",
    "cut": "reset",
    "kill-after": "kill",
}
"""Faults of calls that have their effect, and which faults they are apart from that."""

_EVENTS = {"CONNECT": "connect", "MESSAGE": "message", "DISCONNECT": "disconnect"}
_UNNOTICED = Outcome(b'{"statusCode": 200}', None, cold=False, milliseconds=0.0, request_id="")

Proceed = Callable[[Delivery], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of a service. `ids` say which it is, without what it carries; `access_key` tells who makes it."""

    point: str
    subject: str
    ids: dict[str, str]
    access_key: str
    body: bytes


class Sabotage:
    """Stands between the gateway, the functions and the services that these call."""

    def __init__(self, injector: Injector, functions: Functions) -> None:
        self._injector = injector
        self._functions = functions
        self._seconds: set[asyncio.Task[Outcome]] = set()

    async def invoke(self, name: str, payload: bytes, qualifier: str) -> Outcome:
        """Invoke a function with an event of the gateway's: as `Functions` does, unless a fault is due."""
        event = json.loads(payload)
        if event.get("type") == "REQUEST":  # an authorizer's, which no point of a plan stands for
            return await self._functions.invoke(name, payload, qualifier)
        context = event["requestContext"]
        subject = f"{name} {payload.decode()}"
        ids = {"function": name, "connection_id": context["connectionId"]}
        fault = self._injector.at(_EVENTS[context["eventType"]], subject, **ids)
        if fault is not None:
            await asyncio.sleep(fault.seconds)
            if fault.do in ("drop", "lose"):
                return _UNNOTICED
            if fault.do == "twice":
                second = asyncio.create_task(self._functions.invoke(name, payload, qualifier))
                self._seconds.add(second)
                second.add_done_callback(self._seconds.discard)
        return await self._functions.invoke(name, payload, qualifier)

    async def call(self, scope: Scope, body: bytes, proceed: Proceed) -> Response:
        """Answer a call of a service: as the service does, unless a fault is due. Raises `Cut`."""
        call = self._call(scope, body)
        fault = self._injector.at(call.point, call.subject, **call.ids) if call else None
        if call is None or fault is None:
            return await proceed(ONCE)
        if fault.do in ("kill", "kill-after", "freeze") and not self._functions.caller(call.access_key):
            self._injector.impossible(fault)
            return await proceed(ONCE)
        return await self._strike(fault, call, proceed)

    def _call(self, scope: Scope, body: bytes) -> _Call | None:
        """Return what is asked of a service; None for what no point of a plan stands for."""
        headers = {name.lower(): value for name, value in decode_headers(scope["headers"])}
        access_key = match[1] if (match := _ACCESS_KEY.search(headers.get("authorization", ""))) else ""
        caller = self._functions.caller(access_key)
        point, ids = _point(scope, headers)
        if point is None:
            return None
        target = headers.get("x-amz-target", "")
        subject = f"{scope['path']} {target} {caller} {body.decode(errors='replace')}"
        return _Call(point, subject, {**ids, "caller": caller}, access_key, body)

    async def _strike(self, fault: Fault, call: _Call, proceed: Proceed) -> Response:
        match fault.do:
            case "twice" | "delay" | "lose" if call.point == "invoke":
                return await proceed(_delivery(fault))
            case "twice":
                await proceed(ONCE)
                return await proceed(ONCE)
            case "delay":
                await asyncio.sleep(fault.seconds)
                return await proceed(ONCE)
            case "freeze":
                self._functions.freeze(call.access_key, fault.seconds)
                return await proceed(ONCE)
            case how:
                if fault.after or how in _AFTER:
                    await proceed(ONCE)
                return await self._fail(_AFTER.get(how, how), fault, call)

    async def _fail(self, how: str, fault: Fault, call: _Call) -> Response:
        match how:
            case "kill":
                self._functions.kill(call.access_key)
                raise Cut
            case "hang":
                await asyncio.sleep(fault.seconds)
                raise Cut
            case "reset":
                raise Cut
            case "lose" if call.point == "store":
                raise Cut
            case "lose":
                return Response(200)
            case _:
                return failure(call.point, how, call.body)


def _point(scope: Scope, headers: dict[str, str]) -> tuple[str | None, dict[str, str]]:
    path: str = scope["path"]
    if path.startswith(DYNAMODB_PATH):
        return "store", {"operation": headers.get("x-amz-target", "").rpartition(".")[2]}
    if path.startswith(INVOKE_PATH):
        is_event = headers.get("x-amz-invocation-type") == InvocationType.EVENT
        name = path.removeprefix(INVOKE_PATH).rpartition("/")[0]
        return "invoke" if is_event else None, {"function": reference(name).name}
    is_post = scope["method"] == "POST" and "/@connections/" in path
    return "post" if is_post else None, {"connection_id": path.rpartition("/")[2]}


def _delivery(fault: Fault) -> Delivery:
    """Return what becomes of an event that Lambda has accepted."""
    return Delivery({"twice": 2, "lose": 0}.get(fault.do, 1), fault.seconds)
