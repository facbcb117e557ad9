"""Open connections, and the @connections API by which functions reach them (docs/aws.md section 5)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Container, Mapping, Set
from datetime import UTC, datetime
from typing import Any

from parley.asgi import Response
from parley.clock import Clock
from parley.gateway.quotas import MAX_MESSAGE_BYTES, POST_SIZE, AccountRateLimiter
from parley.gateway.websocket.client import ClientConnection, Sent
from parley.gateway.websocket.connection import DELETED, REMOVED, RESET, Connection, ConnectionState
from parley.trace import Trace

_POLL_SECONDS = 0.02
"""Interval in seconds at which a post checks the handshake that it waits for."""

_GONE = Response(410, {"x-amzn-ErrorType": "GoneException"})
_CONNECTION_ID = re.compile(r"[A-Za-z0-9_-]{15}=")


class ManagementApi:
    """The connections of all stages, and the @connections API.

    `latency`, in seconds, is added to every call. With `waits` a post to a connection from its own `$connect`
    waits until that has returned; otherwise the answer is 410.
    """

    def __init__(
        self,
        stages: Container[str],
        account: AccountRateLimiter,
        trace: Trace,
        clock: Clock,
        latency: float = 0.0,
        *,
        waits: bool = False,
    ) -> None:
        self._stages: Container[str] = stages
        self._account = account
        self._trace = trace
        self._clock = clock
        self._latency = latency
        self._waits = waits
        self._clients: dict[str, ClientConnection] = {}

    def add(self, client: ClientConnection) -> None:
        """Add a connection. It accepts posts once it is open."""
        self._clients[client.connection.handshake.connection_id] = client

    def remove(self, client: ClientConnection) -> None:
        """Remove a connection."""
        self._clients.pop(client.connection.handshake.connection_id, None)

    async def reset(self) -> int:
        """Close all connections. Return how many were open."""
        open_ones = [each for each in self._clients.values() if each.connection.state is ConnectionState.OPEN]
        await asyncio.gather(*(each.close(RESET) for each in open_ones))
        return len(open_ones)

    async def renew(self, stages: Set[tuple[str, str]]) -> None:
        """Take these stages, each an API's id and a name, from now on. Close the connections of those that are gone."""
        self._stages = {name for _, name in stages}
        for client in list(self._clients.values()):
            handshake = client.connection.handshake
            if (handshake.api_id, handshake.stage) not in stages:
                await client.close(REMOVED)

    def listed(self) -> list[dict[str, Any]]:
        """Return the open connections, the oldest first, with their stages. AWS has no such list."""
        open_ones = (
            each.connection for each in self._clients.values() if each.connection.state is ConnectionState.OPEN
        )
        return [
            {
                "connectionId": each.handshake.connection_id,
                "stage": each.handshake.stage,
                "sourcePort": each.handshake.source_port,
                **_describe(each),
                **_of_console(each, self._clock.time()),
            }
            for each in sorted(open_ones, key=lambda each: each.handshake.connected_at)
        ]

    async def close(self, connection_id: str) -> bool:
        """Close a connection as DELETE does, for the developer. Return whether it was open."""
        client = self._clients.get(connection_id)
        if client is None or client.connection.state is not ConnectionState.OPEN:
            return False
        await client.close(DELETED)
        return True

    async def answer(
        self,
        method: str,
        stage: str,
        connection_id: str,
        body: bytes,
        signed: bool,
        caller: Mapping[str, str] | None = None,
    ) -> Response:
        """Answer one call of the @connections API. `caller` are fields for the trace that say who calls."""
        if self._latency:
            await self._clock.sleep(self._latency)
        response = self._check_request(stage, connection_id, signed)
        if response is None:
            response = await self._answer(method, stage, connection_id, body)
        self._trace.record(
            "post" if method == "POST" else "connections",
            {"data": body},
            method=method,
            connection_id=connection_id,
            status=response.status,
            bytes=len(body),
            **(caller or {}),
        )
        return response

    def _check_request(self, stage: str, connection_id: str, signed: bool) -> Response | None:
        if not signed or stage not in self._stages:
            why = f"there is no stage {stage!r}" if signed else "it has no valid signature (SigV4)"
            self._trace.record("note", text=f"@connections {connection_id}: 403, {why}.")
            return _error(403, "ForbiddenException", "Forbidden")
        if limit := self._account.request():
            what = "@connections answered with 429"
            self._trace.record("limit", connection_id=connection_id, what=what, **limit.as_fields())
            return _LIMIT_EXCEEDED
        if not _CONNECTION_ID.fullmatch(connection_id):
            return _error(400, "BadRequestException", f"Invalid connectionId: {connection_id}")
        return None

    async def _answer(self, method: str, stage: str, connection_id: str, body: bytes) -> Response:
        client = self._clients.get(connection_id)
        if client is None or client.connection.handshake.stage != stage:
            return _GONE
        while self._waits and client.connection.state is ConnectionState.CONNECTING:
            await self._clock.sleep(_POLL_SECONDS)
        if client.connection.state is not ConnectionState.OPEN:
            return _GONE
        match method:
            case "POST":
                return await self._post(client, body)
            case "GET":
                return Response.of_json(200, _describe(client.connection))
            case "DELETE":
                await client.close(DELETED)
                return Response(204)
            case _:
                return _error(403, "ForbiddenException", "Forbidden")

    async def _post(self, client: ClientConnection, body: bytes) -> Response:
        if len(body) > MAX_MESSAGE_BYTES:
            connection_id = client.connection.handshake.connection_id
            what = f"a post of {len(body)} bytes answered with 413"
            self._trace.record("limit", connection_id=connection_id, what=what, **POST_SIZE.as_fields())
            return _error(413, "PayloadTooLargeException", f"Data is larger than {MAX_MESSAGE_BYTES} bytes")
        match await client.send(body.decode(errors="replace")):
            case Sent.WRITTEN:
                return Response(200)
            case Sent.GONE:
                return _GONE
            case Sent.BUFFER_FULL:
                return _LIMIT_EXCEEDED


def _describe(connection: Connection) -> dict[str, Any]:
    return {
        "connectedAt": _iso(connection.handshake.connected_at),
        "identity": {"userAgent": None, **connection.handshake.client()},
        "lastActiveAt": _iso(connection.last_active_at),
    }


def _of_console(connection: Connection, now: float) -> dict[str, Any]:
    """Return what AWS does not tell of a connection: the user as the authorizer named it, and the clocks."""
    idle, lifetime = connection.seconds_left(now)
    handshake = connection.handshake
    return {
        "user": (handshake.authorizer or {}).get("principalId") or handshake.caller.get("userArn"),
        "subprotocol": connection.subprotocol,
        "idleSecondsLeft": round(idle, 1),
        "secondsLeft": round(lifetime, 1),
    }


def _error(status: int, kind: str, message: str) -> Response:
    return Response.of_json(status, {"message": message}, {"x-amzn-ErrorType": kind})


_LIMIT_EXCEEDED = _error(429, "LimitExceededException", "Rate exceeded")


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
