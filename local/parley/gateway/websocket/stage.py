"""A stage of a WebSocket API: serves connections, and passes messages to integrations."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Set
from random import Random
from typing import Any

from parley.asgi import Receive, Response, Scope, Send
from parley.gateway.events import Handshake, decode_headers, new_request_id
from parley.gateway.integrations.answer import CallState, IntegrationResult
from parley.gateway.quotas import Limit, RouteRateLimiter
from parley.gateway.websocket.client import ClientConnection
from parley.gateway.websocket.connection import LOST, RESET, UNSUPPORTED, Close, Connection
from parley.gateway.websocket.context import GatewayContext
from parley.gateway.websocket.handshake import CONNECT, AcceptedHandshake, HandshakeHandler
from parley.gateway.websocket.route_selection import RouteSelector
from parley.template.model import Route, Stage, WebSocketApi

DISCONNECT = "$disconnect"
_MAX_REORDERING_SECONDS = 0.05


class WebSocketGateway:
    """Serves one stage of a WebSocket API, as an ASGI application for `websocket` scopes.

    With `reordering` each message first waits for up to 50 ms at random, so that messages of a connection overtake each
    other.
    """

    def __init__(
        self, api: WebSocketApi, stage: Stage, context: GatewayContext, reordering: Random | None = None
    ) -> None:
        self._context = context
        self._reordering = reordering
        self._clock = context.clock
        self._assumptions = context.assumptions
        self._tasks: set[asyncio.Task[None]] = set()
        self.renew(api, stage)

    def renew(self, api: WebSocketApi, stage: Stage) -> None:
        """Serve the stage as it is now: a changed one has been deployed again. Connections stay open."""
        self._api = api
        self._stage = stage
        is_default = self._assumptions.reserved_key == "default"
        self._routes = RouteSelector(api.route_selection_expression, reserved_is_default=is_default)
        self._route_limiter = RouteRateLimiter(stage, self._clock.time)
        self._handshakes = HandshakeHandler(api.routes.get(CONNECT), self._route_limiter, self._context)

    def is_for(self, api: WebSocketApi, stage: Stage) -> bool:
        """Tell if this is the stage of that name of the same API."""
        return (self._api.api_id, self._stage.name) == (api.api_id, stage.name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection from its handshake to its end."""
        await receive()
        client = self._client_connection(self._handshake(scope), receive, send)
        self._context.management_api.add(client)
        try:
            accepted = await self._handshakes.decide(client.connection.handshake, _url_length(scope))
            if isinstance(accepted, Response):
                return await client.refuse(accepted)
            client.connection.handshake = accepted.handshake.without_request()
            close = await self._serve(client, accepted)
        finally:
            self._context.management_api.remove(client)
        # `$disconnect` starts after the connection is removed, so a post from it gets 410. It runs in a task: uvicorn
        # closes the socket when this call returns, and no function may delay that.
        if close is RESET:
            return None
        self._record_close(client.connection, close)
        self._start_task(self._call_disconnect(client.connection.handshake, close))
        return None

    @property
    def work(self) -> Set[asyncio.Task[None]]:
        """The messages and disconnects that are being handled."""
        return self._tasks

    def reset(self) -> None:
        """Forget the rates of requests so far."""
        self._route_limiter.reset()

    def answer_plain(self, path: str) -> Response:
        """Return the response to a GET on the stage's path that asks for no upgrade to WebSocket."""
        status = int(self._assumptions.plain_request)
        self._context.trace.record("refuse", path=path, status=status, why="it asks for no upgrade to WebSocket")
        if status == 403:
            return Response.of_json(status, {"message": "Forbidden"})
        # RFC 9110, section 15.5.22: the response names the protocol.
        headers = {"upgrade": "websocket", "connection": "upgrade"}
        return Response.of_json(status, {"message": "Upgrade Required"}, headers)

    def _handshake(self, scope: Scope) -> Handshake:
        headers = decode_headers(scope["headers"])
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
            path=scope["raw_path"].decode("latin-1"),
            source_port=scope["client"][1] if scope["client"] else 0,
        )

    def _client_connection(self, handshake: Handshake, receive: Receive, send: Send) -> ClientConnection:
        return ClientConnection(
            Connection(handshake, self._context.limits),
            receive,
            send,
            self._clock,
            self._context.trace,
            pings=self._assumptions.ping == "keeps-alive",
            fragments=self._assumptions.large_post == "split",
        )

    async def _serve(self, client: ClientConnection, accepted: AcceptedHandshake) -> Close:
        """Open the connection and handle its messages until it ends. Returns the end."""
        if not await client.accept(accepted.subprotocol, accepted.headers):
            return LOST
        if self._context.kept:
            self._context.kept.opened(client.connection.handshake)
        self._record("open", client.connection.handshake)
        while not isinstance(message := await client.receive(), Close):
            if isinstance(message, bytes):
                await client.close(UNSUPPORTED)
            else:
                # A task for each: as on AWS, messages of one connection run at once, and their answers have no order.
                self._start_task(self._handle_message(client, message))
        return message

    async def _handle_message(self, client: ClientConnection, body: str) -> None:
        if self._reordering:
            await self._clock.sleep(self._reordering.uniform(0, _MAX_REORDERING_SECONDS))
        handshake, request_id = client.connection.handshake, new_request_id()
        key = self._routes.route(body, self._api.routes)
        if key is None:
            self._record("unrouted", handshake)
            await client.send(_gateway_frame("Forbidden", handshake, request_id))
        elif limit := self._context.account.request() or self._route_limiter.take(key):
            await self._refuse_message(client, limit, request_id)
        else:
            route = self._api.routes[key]
            event = handshake.message_event(key, body, request_id, self._clock.time())
            result = await self._context.integrations.call(route, event, handshake)
            frame = _response_frame(result, route, handshake, request_id)
            if frame is not None:
                await client.send(frame)

    async def _refuse_message(self, client: ClientConnection, limit: Limit, request_id: str) -> None:
        handshake = client.connection.handshake
        self._record("limit", handshake, what="a message not handled (429)", **limit.as_fields())
        if self._assumptions.throttled_message == "frame":
            await client.send(_gateway_frame("Too Many Requests", handshake, request_id))

    def serves(self, handshake: Handshake) -> bool:
        """Return whether a connection is one of this stage."""
        return (handshake.api_id, handshake.stage) == (self._api.api_id, self._stage.name)

    def leave(self, handshake: Handshake) -> None:
        """Call `$disconnect` for a connection of an earlier run, which has ended with the emulator."""
        self._start_task(self._call_disconnect(handshake, LOST))

    async def _call_disconnect(self, handshake: Handshake, close: Close) -> None:
        if close.code == LOST.code and self._assumptions.network_loss == "when-idle":
            await self._clock.sleep(self._context.limits.idle)
        route = self._api.routes.get(DISCONNECT)
        if route is not None:
            event = handshake.disconnect_event(close.code, close.reason, self._clock.time())
            await self._context.integrations.call(route, event, handshake)
        if self._context.kept:
            self._context.kept.ended(handshake.connection_id)

    def _record_close(self, connection: Connection, close: Close) -> None:
        limit = close.limit.as_fields() if close.limit else {}
        self._record("close", connection.handshake, code=close.code, cause=close.cause, **limit)

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in a task. A slow message then delays neither the next one nor the connection's end."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the event loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)

    def _record(self, kind: str, handshake: Handshake, **fields: Any) -> None:
        self._context.trace.record(kind, connection_id=handshake.connection_id, **fields)


def _url_length(scope: Scope) -> int:
    return len(scope["raw_path"]) + len(scope["query_string"]) + 1


def _response_frame(result: IntegrationResult, route: Route, handshake: Handshake, request_id: str) -> str | None:
    """Return the frame that answers a message: an error, the body for a route response, or none."""
    if result.state is CallState.TIMED_OUT:
        return _gateway_frame("Endpoint request timed out", handshake, request_id)
    if result.state is CallState.FAILED or (route.responds and result.status is None):
        return _gateway_frame("Internal server error", handshake, request_id)
    return result.body if route.responds else None


def _gateway_frame(message: str, handshake: Handshake, request_id: str) -> str:
    """Return a frame of the gateway itself, with spaces exactly as on AWS (docs/aws.md section 3)."""
    connection_id = handshake.connection_id
    return f'{{"message": "{message}", "connectionId":"{connection_id}", "requestId":"{request_id}"}}'
