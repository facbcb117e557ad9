"""The wire to a connection's client: what the gateway can do to it over ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from local.asgi import Message, Receive, Send
from local.gateway.connection import Close, Connection, closed_by_client


class Wire:
    """A connection together with its client. `clock` gives seconds since the epoch."""

    def __init__(self, connection: Connection, receive: Receive, send: Send, clock: Callable[[], float]) -> None:
        self.connection = connection
        self._receive = receive
        self._send = send
        self._clock = clock
        self._closed: Close | None = None

    async def accept(self, subprotocol: str | None) -> bool:
        """Finish the handshake. Returns False where the client has gone away meanwhile."""
        if not await self._sent({"type": "websocket.accept", "subprotocol": subprotocol}):
            return False
        self.connection.opened(self._clock())
        return True

    async def send(self, text: str) -> bool:
        """Send a frame. Returns False where the client has gone away meanwhile."""
        if not await self._sent({"type": "websocket.send", "text": text}):
            return False
        self.connection.active(self._clock())
        return True

    async def close(self, how: Close) -> None:
        """Close the connection. Does nothing where it is closed already."""
        if self._closed is None:
            self._closed = how
            self.connection.closed()
            await self._sent({"type": "websocket.close", "code": how.code, "reason": how.reason})

    async def receive(self) -> str | bytes | Close:
        """Return the next message, or how the connection ended: at the latest when its time is up."""
        message = await self._next()
        if message["type"] == "websocket.disconnect":
            self.connection.closed()
            return self._closed or closed_by_client(message["code"], message.get("reason") or "")
        self.connection.active(self._clock())
        content: str | bytes = message["bytes"] if message.get("text") is None else message["text"]
        return content

    async def _next(self) -> Message:
        while self._closed is None:
            with suppress(TimeoutError):
                return await asyncio.wait_for(self._receive(), max(0.0, self.connection.deadline() - self._clock()))
            overdue = self.connection.overdue(self._clock())
            if overdue:
                await self.close(overdue)
        return await self._receive()

    async def _sent(self, message: Message) -> bool:
        try:
            await self._send(message)
        except OSError:  # uvicorn's way to say that the client is gone
            return False
        return True
