"""A WebSocket API: handshakes, messages and disconnects, each handed to the function of its route."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from local.asgi import Receive, Response, Scope, Send
from local.functions.outcome import Outcome
from local.gateway.connection import LOST, UNSUPPORTED, Close, Connection
from local.gateway.connections import Connections
from local.gateway.events import Event, Handshake, decoded, new_request_id
from local.gateway.quotas import TimeLimits
from local.gateway.routes import select_route
from local.gateway.wire import Wire
from local.template.model import LambdaIntegration, Route, Stage, WebSocketApi
from local.trace import Trace

CONNECT, DISCONNECT = "$connect", "$disconnect"


class WebSocketGateway:
    """Serves one WebSocket API of the template, as an ASGI application for `websocket` scopes."""

    def __init__(
        self,
        api: WebSocketApi,
        stage: Stage,
        invoke: Callable[[str, bytes], Awaitable[Outcome]],
        connections: Connections,
        trace: Trace,
        limits: TimeLimits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._stage = stage
        self._invoke = invoke
        self._connections = connections
        self._trace = trace
        self._limits = limits
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection from its handshake to its end."""
        await receive()
        wire = Wire(Connection(self._handshake(scope), self._limits), receive, send, self._clock)
        answer = await self._connect(wire.connection)
        if not 200 <= answer.status < 300:
            self._record("refuse", wire.connection, status=answer.status)
            return await Response(answer.status).refuse(send)
        close = await self._serve(wire, answer.headers.get("sec-websocket-protocol"))
        self._record("close", wire.connection, code=close.code, cause=close.cause)
        self._later(self._disconnect(wire.connection, close))
        return None

    def _handshake(self, scope: Scope) -> Handshake:
        headers = decoded(scope["headers"])
        return Handshake(
            connection_id=new_request_id(),
            connected_at=self._clock(),
            api_id=self._api.api_id,
            stage=self._stage.name,
            domain_name=next((value for name, value in headers if name.lower() == "host"), "localhost"),
            source_ip=scope["client"][0] if scope["client"] else "127.0.0.1",
            headers=headers,
            query=scope["query_string"].decode("latin-1"),
        )

    async def _connect(self, connection: Connection) -> Response:
        route = self._api.routes.get(CONNECT)
        if route is None:
            return Response(200)
        outcome = await self._integrate(route, connection, connection.handshake.connect_event())
        return Response(504) if outcome is None else _connect_answer(outcome)

    async def _serve(self, wire: Wire, subprotocol: str | None) -> Close:
        """Open the connection and take messages until it ends; return how it ended."""
        if not await wire.accept(subprotocol):
            return LOST
        self._connections.add(wire)
        self._record("open", wire.connection)
        try:
            while not isinstance(message := await wire.receive(), Close):
                if isinstance(message, bytes):
                    await wire.close(UNSUPPORTED)
                else:
                    self._later(self._message(wire, message))
            return message
        finally:
            self._connections.remove(wire)

    async def _message(self, wire: Wire, body: str) -> None:
        connection, request_id = wire.connection, new_request_id()
        key = select_route(self._api.route_selection_expression, body, self._api.routes)
        if key is None:
            self._record("unrouted", connection)
            await wire.send(_own_frame("Forbidden", connection, request_id))
            return
        route = self._api.routes[key]
        event = connection.handshake.message_event(key, body, request_id)
        outcome = await self._integrate(route, connection, event)
        if outcome is None:
            await wire.send(_own_frame("Endpoint request timed out", connection, request_id))
        elif outcome.function_error:
            await wire.send(_own_frame("Internal server error", connection, request_id))

    async def _disconnect(self, connection: Connection, close: Close) -> None:
        route = self._api.routes.get(DISCONNECT)
        if route is not None:
            event = connection.handshake.disconnect_event(close.code, close.reason)
            await self._integrate(route, connection, event)

    async def _integrate(self, route: Route, connection: Connection, event: Event) -> Outcome | None:
        """Invoke a route's function; None where it does not answer in time. It runs on all the same, as in AWS."""
        integration = route.integration
        assert isinstance(integration, LambdaIntegration)  # noqa: S101
        started = self._clock()
        invocation = asyncio.ensure_future(self._invoke(integration.function, json.dumps(event).encode()))
        limit = min(integration.timeout, self._limits.integration)
        done, _ = await asyncio.wait([invocation], timeout=limit)
        outcome = invocation.result() if done else None
        self._record(
            "route",
            connection,
            route=route.key,
            function=integration.function,
            milliseconds=round((self._clock() - started) * 1000, 1),
            cold=outcome.cold if outcome else None,
            error=(outcome.function_error if outcome else f"no answer within {limit:g} s"),
        )
        return outcome

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Run on its own: one slow message holds up neither the next nor the connection's end."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _record(self, kind: str, connection: Connection, **fields: Any) -> None:
        self._trace.record(kind, connection_id=connection.handshake.connection_id, **fields)


def _connect_answer(outcome: Outcome) -> Response:
    """Return what `$connect` answered; what is no answer, or an error, is a 502."""
    if outcome.function_error:
        return Response(502)
    try:
        answer = json.loads(outcome.payload)
        headers = answer.get("headers") or {}
        return Response(int(answer["statusCode"]), {name.lower(): str(headers[name]) for name in headers})
    except (ValueError, TypeError, KeyError, AttributeError):
        return Response(502)


def _own_frame(message: str, connection: Connection, request_id: str) -> str:
    """Return a frame of the gateway's own, with the spaces where AWS has them (AWS.md section 3)."""
    connection_id = connection.handshake.connection_id
    return f'{{"message": "{message}", "connectionId":"{connection_id}", "requestId":"{request_id}"}}'
