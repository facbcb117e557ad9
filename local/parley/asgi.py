"""HTTP over ASGI: the types, the response and the reading of a body that the emulator's parts share."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Python reads digits of any script as a number, and refuses a text of over 4,300 digits with a ValueError.
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Response:
    """A whole HTTP response. `more_headers` may hold the same name several times.

    `length` is the length of the body that the answer to HEAD leaves out.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    more_headers: tuple[tuple[str, str], ...] = ()
    length: int | None = None

    @classmethod
    def of_json(cls, status: int, content: Any, headers: Mapping[str, str] | None = None) -> Response:
        """Return a response whose body is JSON."""
        return cls(status, {"content-type": "application/json", **(headers or {})}, json.dumps(content).encode())

    @classmethod
    def of_pairs(cls, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> Response:
        """Return a response that may have the same header several times."""
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        return cls(status, {}, body, tuple(kept))

    async def send(self, send: Send) -> None:
        """Send this response as the answer to a request."""
        await self._send(send, "http.response")

    async def refuse(self, send: Send) -> None:
        """Send this response as the answer to a WebSocket handshake. The connection is not opened."""
        await self._send(send, "websocket.http.response")

    async def _send(self, send: Send, kind: str) -> None:
        await send({"type": f"{kind}.start", "status": self.status, "headers": self._raw_headers()})
        await send({"type": f"{kind}.body", "body": self.body})

    def _raw_headers(self) -> list[tuple[bytes, bytes]]:
        length = ("content-length", str(len(self.body) if self.length is None else self.length))
        headers = [*self.headers.items(), *self.more_headers, length]
        return [
            (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers
        ]


def whole_number(text: str) -> int | None:
    """Return the number that a part of a path or of a query writes; None if it has more than 1 to 18 ASCII digits."""
    return int(text) if _NUMBER.fullmatch(text) else None


def json_object(text: str | bytes) -> dict[str, Any] | None:
    """Return the object that a text in JSON is; None for any other text."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


class ClientGone(Exception):
    """The client disconnected before its whole request arrived. Such a request has no effect."""


class BodyTooLarge(Exception):
    """The request has more bytes than the emulator takes."""


def limited(receive: Receive, most: int) -> Receive:
    """Return a `receive` that raises `BodyTooLarge` once a body has more bytes than `most`."""
    size = 0

    async def receive_limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise BodyTooLarge
        return message

    return receive_limited


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
