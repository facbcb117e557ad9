"""A stage of a WebSocket API: its connections served, each message handed to the integration of its route."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from parley.asgi import Receive, Response, Scope, Send
from parley.gateway.events import Handshake, decoded, new_request_id
from parley.gateway.integrations.caller import Answer, Ending
from parley.gateway.quotas import Limit, Throttling
from parley.gateway.websocket.client import Wire
from parley.gateway.websocket.connection import LOST, UNSUPPORTED, Close, Connection
from parley.gateway.websocket.context import Service
from parley.gateway.websocket.handshake import CONNECT, Admission, Admitted
from parley.gateway.websocket.route_selection import Selection
from parley.template.model import Route, Stage, WebSocketApi

DISCONNECT = "$disconnect"
_REORDERING_SECONDS = 0.05


class WebSocketGateway:
    """Serves one stage of a WebSocket API, as an ASGI application for `websocket` scopes."""

    def __init__(self, api: WebSocketApi, stage: Stage, service: Service) -> None:
        self._api = api
        self._stage = stage
        self._service = service
        self._clock = service.clock
        self._assumptions = service.assumptions
        is_default = service.assumptions.reserved_key == "default"
        self._selection = Selection(api.route_selection_expression, reserved_is_default=is_default)
        self._throttling = Throttling(stage, service.clock.time)
        self._admission = Admission(api.routes.get(CONNECT), self._throttling, service)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection from its handshake to its end."""
        await receive()
        wire = self._wire(self._handshake(scope), receive, send)
        self._service.connections.add(wire)
        try:
            admitted = await self._admission.decide(wire.connection.handshake, _url_bytes(scope))
            if isinstance(admitted, Response):
                return await wire.refuse(admitted)
            wire.connection.handshake = admitted.handshake.without_request()
            close = await self._serve(wire, admitted)
        finally:
            self._service.connections.remove(wire)
        self._tell_of(wire.connection, close)
        self._later(self._disconnect(wire.connection.handshake, close))
        return None

    def _handshake(self, scope: Scope) -> Handshake:
        headers = decoded(scope["headers"])
        in_event = self._assumptions.stage_variables == "in-event"
        return Handshake(
            connection_id=new_request_id(),
            connected_at=self._clock.time(),
            api_id=self._api.api_id,
            stage=self._stage.name,
            domain_name=next((value for name, value in headers if name.lower() == "host"), "localhost"),
            source_ip=scope["client"][0] if scope["client"] else "127.0.0.1",
            headers=headers,
            query=scope["query_string"].decode("latin-1"),
            stage_variables=self._stage.variables if in_event else {},
        )

    def _wire(self, handshake: Handshake, receive: Receive, send: Send) -> Wire:
        return Wire(
            Connection(handshake, self._service.limits),
            receive,
            send,
            self._clock,
            self._service.trace,
            pings=self._assumptions.ping == "keeps-alive",
            fragments=self._assumptions.large_post == "split",
        )

    async def _serve(self, wire: Wire, admitted: Admitted) -> Close:
        """Open the connection and take messages until it ends; return how it ended."""
        if not await wire.accept(admitted.subprotocol, admitted.headers):
            return LOST
        self._record("open", wire.connection.handshake)
        while not isinstance(message := await wire.receive(), Close):
            if isinstance(message, bytes):
                await wire.close(UNSUPPORTED)
            else:
                self._later(self._message(wire, message))
        return message

    async def _message(self, wire: Wire, body: str) -> None:
        if reordering := self._service.reordering:
            await self._clock.sleep(reordering.uniform(0, _REORDERING_SECONDS))
        handshake, request_id = wire.connection.handshake, new_request_id()
        key = self._selection.route(body, self._api.routes)
        if key is None:
            self._record("unrouted", handshake)
            await wire.send(_own_frame("Forbidden", handshake, request_id))
        elif limit := self._service.account.request() or self._throttling.take(key):
            await self._throttle(wire, limit, request_id)
        else:
            route = self._api.routes[key]
            event = handshake.message_event(key, body, request_id, self._clock.time())
            answer = await self._service.backend.call(route, event, handshake)
            frame = _frame(answer, route, handshake, request_id)
            if frame is not None:
                await wire.send(frame)

    async def _throttle(self, wire: Wire, limit: Limit, request_id: str) -> None:
        handshake = wire.connection.handshake
        self._record("limit", handshake, what="a message not handled (429)", **limit.told())
        if self._assumptions.throttled_message == "frame":
            await wire.send(_own_frame("Too Many Requests", handshake, request_id))

    async def _disconnect(self, handshake: Handshake, close: Close) -> None:
        if close.code == LOST.code and self._assumptions.network_loss == "when-idle":
            await self._clock.sleep(self._service.limits.idle)
        route = self._api.routes.get(DISCONNECT)
        if route is not None:
            event = handshake.disconnect_event(close.code, close.reason, self._clock.time())
            await self._service.backend.call(route, event, handshake)

    def _tell_of(self, connection: Connection, close: Close) -> None:
        limit = close.limit.told() if close.limit else {}
        self._record("close", connection.handshake, code=close.code, cause=close.cause, **limit)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Run on its own: one slow message holds up neither the next nor the connection's end."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _record(self, kind: str, handshake: Handshake, **fields: Any) -> None:
        self._service.trace.record(kind, connection_id=handshake.connection_id, **fields)


def _url_bytes(scope: Scope) -> int:
    return len(scope["raw_path"]) + len(scope["query_string"]) + 1


def _frame(answer: Answer, route: Route, handshake: Handshake, request_id: str) -> str | None:
    """Return the frame that a message is answered with: an error, the body for a route response, or none."""
    if answer.ending is Ending.TIMED_OUT:
        return _own_frame("Endpoint request timed out", handshake, request_id)
    if answer.ending is Ending.FAILED or (route.responds and answer.status is None):
        return _own_frame("Internal server error", handshake, request_id)
    return answer.body if route.responds else None


def _own_frame(message: str, handshake: Handshake, request_id: str) -> str:
    """Return a frame of the gateway's own, with the spaces where AWS has them (docs/aws.md section 3)."""
    connection_id = handshake.connection_id
    return f'{{"message": "{message}", "connectionId":"{connection_id}", "requestId":"{request_id}"}}'
