"""uvicorn's protocols with what ASGI has no word for: headers as they are spelled, pings, lost networks, fragments."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from parley.gateway.quotas import MAX_FRAME_BYTES

PING = "parley.ping"
"""The type of the message that the application receives for a ping of the client's."""

FRAGMENTS = "parley.fragments"
"""A key of `websocket.send`: send a text of more than 32 KB as fragments of one message."""


class HttpProtocol(HttpToolsProtocol):
    """Hands a handshake on with its headers spelled as the client spells them, as events have them."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._spelled: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        super().on_header(name, value)
        self._spelled.append((name, value))

    def handle_websocket_upgrade(self) -> None:
        """Go on as a WebSocket."""
        self.scope["headers"] = self._spelled
        super().handle_websocket_upgrade()


class GatewayProtocol(WebSocketsSansIOProtocol):
    """Tells a connection that was lost (1006) from one that was closed without a status (1005)."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the network connection has ended, in whatever way."""
        if self.handshake_complete and self.conn.close_rcvd is None and not self.close_sent:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        super().connection_lost(exc)

    def handle_ping(self) -> None:
        """Answer a ping, and tell of it."""
        super().handle_ping()
        ping: Any = {"type": PING}
        self.queue.put_nowait(ping)

    async def send(self, message: Any) -> None:
        """Carry out what the application says."""
        text = message.get("text", "").encode() if message.get(FRAGMENTS) else b""
        if len(text) <= MAX_FRAME_BYTES or self.disconnected or self.close_sent:
            await super().send(message)
            if message["type"] == "websocket.accept":
                self._forget_handshake()
            return
        self.conn.send_text(text[:MAX_FRAME_BYTES], fin=False)
        for start in range(MAX_FRAME_BYTES, len(text), MAX_FRAME_BYTES):
            self.conn.send_continuation(text[start : start + MAX_FRAME_BYTES], fin=start + MAX_FRAME_BYTES >= len(text))
        self.transport.write(b"".join(self.conn.data_to_send()))

    def _forget_handshake(self) -> None:
        """Let go of what is not looked at again: of a thousand idle connections it would be 5 MB."""
        kept: Any = None
        self.request = self.response = kept
        self.scope["headers"] = []
