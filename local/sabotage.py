"""Lets calls of functions go wrong on their way, as a plan of faults says: posts, invocations, requests of DynamoDB."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from local.asgi import Response, Scope
from local.environment import DYNAMODB_PATH
from local.faults import Fault, Plan, PlanError
from local.gateway.events import decoded
from local.trace import Trace

FAULTS_PATH = "/_parley/faults"
_ACCESS_KEY = re.compile(r"Credential=([^/]+)/")
_ERRORS = {
    "post": {
        "400": "BadRequestException",
        "403": "ForbiddenException",
        "410": "GoneException",
        "413": "PayloadTooLargeException",
        "429": "LimitExceededException",
    },
    "invoke": {"429": "TooManyRequestsException", "500": "ServiceException"},
}
_DYNAMODB = "com.amazonaws.dynamodb.v20120810#"


class Sabotage:
    """Stands between callers and the services.

    Each environment signs with an access key of its own: `caller` names the function of a key, and `signal` sends its
    process a signal.
    """

    def __init__(
        self, plan: Plan, trace: Trace, caller: Callable[[str], str], signal: Callable[[str, int], None]
    ) -> None:
        self._plan = plan
        self._trace = trace
        self._caller = caller
        self._signal = signal

    def at(self, point: str, subject: str) -> Fault | None:
        """Return what is to go wrong at this opportunity, and tell the trace."""
        fault = self._plan.at(point, subject)
        if fault is not None:
            self._trace.record("fault", point=point, do=fault.do, after=fault.after)
        return fault

    def answer(self, method: str, body: bytes) -> Response:
        """Answer a request for the plan itself: `GET` reads it, `PUT` replaces it, `POST` adds to it."""
        try:
            if method == "PUT":
                self._plan = Plan.of(body)
            elif method == "POST":
                self._plan.add(Plan.of(body).faults)
        except PlanError as error:
            return Response.of_json(400, {"message": str(error)})
        return Response.of_json(200, self._plan.report())

    async def call(self, scope: Scope, body: bytes, proceed: Callable[[], Awaitable[Response]]) -> Response:
        """Answer a call of a service: as the service does, unless a fault is due."""
        point = _point(scope["path"])
        headers = {name.lower(): value for name, value in decoded(scope["headers"])}
        key = match[1] if (match := _ACCESS_KEY.search(headers.get("authorization", ""))) else ""
        subject = f"{scope['path']} {headers.get('x-amz-target', '')} {self._caller(key)} "
        fault = self.at(point, subject + body.decode(errors="replace"))
        if fault is None:
            return await proceed()
        return await self._strike(fault, key, body, proceed)

    async def _strike(
        self, fault: Fault, key: str, body: bytes, proceed: Callable[[], Awaitable[Response]]
    ) -> Response:
        if fault.do == "twice":
            await proceed()
        if fault.do in ("twice", "delay"):
            await asyncio.sleep(fault.seconds)
            return await proceed()
        if fault.do == "freeze":
            return await self._freeze(fault, key, proceed)
        if fault.after:
            await proceed()
        if fault.do == "lose":
            return Response(202 if fault.point == "invoke" else 200)
        if fault.do == "kill":
            self._signal(key, signal.SIGKILL)
        if fault.do == "hang":
            await asyncio.sleep(fault.seconds)
        return _failure(fault, body)

    async def _freeze(self, fault: Fault, key: str, proceed: Callable[[], Awaitable[Response]]) -> Response:
        """Stop the caller's process; the call has its effect, and is answered to deaf ears."""
        self._signal(key, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(fault.seconds, self._signal, key, signal.SIGCONT)
        return await proceed()


def is_service(path: str) -> bool:
    """Tell whether functions call AWS by this path."""
    return path.startswith(DYNAMODB_PATH) or "/@connections/" in path or path.endswith("/invocations")


def _point(path: str) -> str:
    if path.startswith(DYNAMODB_PATH):
        return "store"
    return "post" if "/@connections/" in path else "invoke"


def _failure(fault: Fault, body: bytes) -> Response:
    """Return the error that a service would answer with."""
    if fault.do == "throttle":
        return _dynamodb(400, "ProvisionedThroughputExceededException", "Throttled by the plan of faults.")
    if fault.do == "conflict":
        return _conflict(body)
    status = int(fault.do) if fault.do.isdigit() else 500
    if fault.point == "store":
        return _dynamodb(status, "InternalServerError", "Failed by the plan of faults.")
    kind = _ERRORS[fault.point].get(str(status), "InternalServerErrorException")
    message = {"message": "Failed by the plan of faults."}
    return Response.of_json(status, message, {"x-amzn-ErrorType": kind})


def _conflict(body: bytes) -> Response:
    items: list[Any] = json.loads(body).get("TransactItems") or []
    if not items:
        return _dynamodb(400, "TransactionConflictException", "Transaction is ongoing for the item")
    reasons = [{"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"} for _ in items]
    codes = ", ".join(reason["Code"] for reason in reasons)
    text = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    return _dynamodb(400, "TransactionCanceledException", text, CancellationReasons=reasons)


def _dynamodb(status: int, kind: str, message: str, **more: Any) -> Response:
    content = {"__type": f"{_DYNAMODB}{kind}", "message": message, "Message": message, **more}
    return Response.of_json(status, content, {"content-type": "application/x-amz-json-1.0"})
