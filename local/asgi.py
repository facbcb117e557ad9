"""The little of HTTP over ASGI that the emulator's parts share."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Response:
    """A whole HTTP response."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def of_json(cls, status: int, content: Any, headers: Mapping[str, str] | None = None) -> Response:
        """Return a response whose body is JSON."""
        return cls(status, {"content-type": "application/json", **(headers or {})}, json.dumps(content).encode())

    async def send(self, send: Send) -> None:
        """Answer a request with this response."""
        await self._send(send, "http.response")

    async def refuse(self, send: Send) -> None:
        """Answer a WebSocket handshake with this response instead of opening the connection."""
        await self._send(send, "websocket.http.response")

    async def _send(self, send: Send, kind: str) -> None:
        await send({"type": f"{kind}.start", "status": self.status, "headers": self._raw_headers()})
        await send({"type": f"{kind}.body", "body": self.body})

    def _raw_headers(self) -> list[tuple[bytes, bytes]]:
        headers = {**self.headers, "content-length": str(len(self.body))}
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


class ClientGone(Exception):
    """The client went away before its whole request had come. Such a request has no effect."""


async def read_body(receive: Receive) -> bytes:
    """Return the whole body of a request. Raises `ClientGone`."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)
