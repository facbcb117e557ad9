"""The open connections, and the @connections API by which functions reach them (AWS.md section 5)."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime

from local.asgi import Response
from local.gateway.connection import DELETED, Connection, State
from local.gateway.quotas import MESSAGE_BYTES
from local.gateway.wire import Wire
from local.trace import Trace

_GONE = Response(410, {"x-amzn-ErrorType": "GoneException"})
_CONNECTION_ID = re.compile(r"[A-Za-z0-9_-]{15}=")


class Connections:
    """The connections of one stage. `post_latency`, in seconds, is added to every call of the API."""

    def __init__(self, trace: Trace, post_latency: float = 0.0) -> None:
        self._trace = trace
        self._post_latency = post_latency
        self._wires: dict[str, Wire] = {}

    def add(self, wire: Wire) -> None:
        """Let a connection be reached."""
        self._wires[wire.connection.handshake.connection_id] = wire

    def remove(self, wire: Wire) -> None:
        """Let a connection no longer be reached."""
        self._wires.pop(wire.connection.handshake.connection_id, None)

    async def answer(self, method: str, connection_id: str, body: bytes) -> Response:
        """Answer one call of the @connections API."""
        if self._post_latency:
            await asyncio.sleep(self._post_latency)
        response = await self._answer(method, connection_id, body)
        self._trace.record(
            "post" if method == "POST" else "connections",
            method=method,
            connection_id=connection_id,
            status=response.status,
            bytes=len(body),
        )
        return response

    async def _answer(self, method: str, connection_id: str, body: bytes) -> Response:
        if not _CONNECTION_ID.fullmatch(connection_id):
            return _error(400, "BadRequestException", f"Invalid connectionId: {connection_id}")
        wire = self._wires.get(connection_id)
        if wire is None or wire.connection.state is not State.OPEN:
            return _GONE
        match method:
            case "POST":
                return await _post(wire, body)
            case "GET":
                return _describe(wire.connection)
            case "DELETE":
                await wire.close(DELETED)
                return Response(204)
            case _:
                return _error(403, "ForbiddenException", "Forbidden")


async def _post(wire: Wire, body: bytes) -> Response:
    if len(body) > MESSAGE_BYTES:
        return _error(413, "PayloadTooLargeException", f"Data is larger than {MESSAGE_BYTES} bytes")
    return Response(200) if await wire.send(body.decode(errors="replace")) else _GONE


def _describe(connection: Connection) -> Response:
    return Response.of_json(
        200,
        {
            "connectedAt": _iso(connection.handshake.connected_at),
            "identity": {"userAgent": None, **connection.handshake.identity()},
            "lastActiveAt": _iso(connection.last_active_at),
        },
    )


def _error(status: int, kind: str, message: str) -> Response:
    return Response.of_json(status, {"message": message}, {"x-amzn-ErrorType": kind})


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
