"""The open connections, and the @connections API by which functions reach them (AWS.md section 5)."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from local.asgi import Response
from local.gateway.connection import DELETED, Close, Connection, State
from local.gateway.quotas import MESSAGE_BYTES
from local.trace import Trace

_CONNECTION_ID = re.compile(r"[A-Za-z0-9_-]{15}=")


@dataclass(frozen=True, slots=True)
class Line:
    """A connection and the two things that can be done to its client."""

    connection: Connection
    send: Callable[[str], Awaitable[None]]
    close: Callable[[Close], Awaitable[None]]


class Connections:
    """The connections of one stage. `post_latency`, in seconds, is added to every call of the API."""

    def __init__(self, trace: Trace, post_latency: float = 0.0, clock: Callable[[], float] = time.time) -> None:
        self._trace = trace
        self._post_latency = post_latency
        self._clock = clock
        self._lines: dict[str, Line] = {}

    def add(self, line: Line) -> None:
        """Let a connection be reached, once it is open."""
        self._lines[line.connection.handshake.connection_id] = line

    def remove(self, connection_id: str) -> None:
        """Let a connection no longer be reached."""
        self._lines.pop(connection_id, None)

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
        line = self._lines.get(connection_id)
        if line is None or line.connection.state is not State.OPEN:
            return Response(410, {"x-amzn-ErrorType": "GoneException"})
        match method:
            case "POST":
                return await self._post(line, body)
            case "GET":
                return _describe(line.connection)
            case "DELETE":
                await line.close(DELETED)
                return Response(204)
            case _:
                return _error(403, "ForbiddenException", "Forbidden")

    async def _post(self, line: Line, body: bytes) -> Response:
        if len(body) > MESSAGE_BYTES:
            return _error(413, "PayloadTooLargeException", f"Data is larger than {MESSAGE_BYTES} bytes")
        await line.send(body.decode(errors="replace"))
        line.connection.active(self._clock())
        return Response(200)


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
