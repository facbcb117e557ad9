"""A stage of a WebSocket API in this process: functions are callables, clients are queues, time is a test's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from parley.asgi import Response
from parley.functions.invocation import Outcome
from parley.functions.service import UnknownFunction
from parley.gateway.assumptions import Assumptions
from parley.gateway.integrations.caller import IntegrationCaller
from parley.gateway.quotas import AccountRateLimiter, Quotas, TimeLimits
from parley.gateway.websocket.context import GatewayContext
from parley.gateway.websocket.management_api import ManagementApi
from parley.gateway.websocket.stage import WebSocketGateway
from parley.template.model import Route, Stage, WebSocketApi
from parley.trace import Trace

from tests.support.clock import ManualClock, settle

MALFORMED = (
    {"statusCode": 200, "ConnectionId": "x", "Data": "hello"},
    {"status": 200},
    {"statusCode": 200, "cookies": []},
    {"statusCode": 200, "statuscode": 200},
    {"statusCode": "many"},
    {"statusCode": True},
    {"statusCode": [200]},
    {"statusCode": 200, "headers": "x"},
    {"statusCode": 200, "multiValueHeaders": ["x"]},
    {"statusCode": 200, "body": {"a": 1}},
    {"statusCode": 200, "body": [1]},
)
"""Objects that functions may return, and that API Gateway takes for no answer."""

CALLER = {"accountId": "1", "accessKey": "AKID", "caller": "AIDA", "user": "AIDA", "userArn": "arn:aws:iam::1:user/a"}
"""The caller that signs handshakes."""

Function = Callable[[dict[str, Any]], Any]


class Raised(Exception):
    """Error that a function raises; the text is its message."""


class GatewayStage:
    """One stage. A function gets an event and returns its answer, raises `Raised`, or is a coroutine function."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        *routes: Route,
        stage: Stage | None = None,
        expression: str = "$request.body.action",
        quotas: Quotas | None = None,
        reordering: Random | None = None,
        signed: bool = False,
        **assumed: str,
    ) -> None:
        self.clock = ManualClock()
        self.trace = Trace(self.clock.time)
        self.functions = functions
        self.invocations: list[tuple[str, dict[str, Any]]] = []
        assumptions = Assumptions.of(f"{name}={value}" for name, value in assumed.items())
        account = AccountRateLimiter(quotas or Quotas(), self.clock.time)
        stage = stage or Stage("live")
        waits = assumptions.post_in_connect == "hangs"
        self.context = GatewayContext(
            integrations=IntegrationCaller(
                self._invoke, self.trace, self.clock, TimeLimits(), assumptions.status_if_missing
            ),
            management_api=ManagementApi({stage.name}, account, self.trace, self.clock, waits=waits),
            account=account,
            trace=self.trace,
            clock=self.clock,
            caller=lambda handshake: CALLER if signed else None,
            assumptions=assumptions,
        )
        api = WebSocketApi("Api", "abcdef1234", (stage,), expression, {route.key: route for route in routes})
        self.application = WebSocketGateway(api, stage, self.context, reordering)

    async def _invoke(self, name: str, payload: bytes, qualifier: str) -> Outcome:
        if name not in self.functions:
            raise UnknownFunction(f"There is no function {name!r} with the qualifier {qualifier}.")
        event = json.loads(payload)
        self.invocations.append((name, event))
        try:
            answer = self.functions[name](event)
            if asyncio.iscoroutine(answer):
                answer = await answer
        except Raised as raised:
            error = json.dumps({"errorType": "Exception", "errorMessage": str(raised)}).encode()
            return Outcome(error, "Unhandled", False, 1.0, "id")
        return Outcome(json.dumps(answer).encode(), None, False, 1.0, "id")

    def events(self, function: str) -> list[dict[str, Any]]:
        """The events that a function has got."""
        return [event for name, event in self.invocations if name == function]

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of a kind in the trace."""
        return [event.fields for event in self.trace.after(0) if event.kind == kind]

    async def connect(
        self, query: str = "", headers: Mapping[str, str] | None = None, path: str = "/live"
    ) -> GatewayClient:
        """A client whose handshake has begun, and has got as far as it gets without time passing."""
        client = GatewayClient()
        given = {
            "Host": "h",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "k",
            **(headers or {}),
        }
        scope = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "client": ("127.0.0.1", 50_000),
        }
        client.task = asyncio.ensure_future(self.application(scope, client.receive, client.send))
        client.inbox.put_nowait({"type": "websocket.connect"})
        await settle()
        return client

    async def post(self, connection_id: str, body: bytes = b"x", method: str = "POST", signed: bool = True) -> Response:
        return await self.context.management_api.answer(method, "live", connection_id, body, signed)


class GatewayClient:
    """A client at the other end of ASGI. `status` is that of a refused handshake, `frames` what it was sent."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.task: asyncio.Future[None] | None = None
        self.accepted: dict[str, Any] | None = None
        self.status: int | None = None
        self.refusal: dict[str, Any] = {}
        self.frames: list[str] = []
        self.closed: tuple[int, str] | None = None

    async def receive(self) -> dict[str, Any]:
        return await self.inbox.get()

    async def send(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "websocket.accept":
                self.accepted = message
            case "websocket.send":
                self.frames.append(message["text"])
            case "websocket.close":
                self.closed = (message["code"], message["reason"])
                self.inbox.put_nowait({"type": "websocket.disconnect", "code": message["code"]})
            case "websocket.http.response.start":
                self.status, self.refusal = message["status"], message
            case "websocket.http.response.body":
                self.refusal = {**self.refusal, "body": message["body"]}

    async def say(self, text: str) -> None:
        """Send a text frame."""
        self.inbox.put_nowait({"type": "websocket.receive", "text": text})
        await settle()

    async def leave(self, code: int = 1005) -> None:
        """Close the connection; with 1006, lose it."""
        self.inbox.put_nowait({"type": "websocket.disconnect", "code": code, "reason": ""})
        await settle()
