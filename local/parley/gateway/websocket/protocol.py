"""uvicorn's protocols with what ASGI cannot express: spelling of headers, pings, lost networks, fragments."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from parley.gateway.quotas import MAX_FRAME_BYTES

PING = "parley.ping"
"""Type of the message that the application receives for a client's ping."""

FRAGMENTS = "parley.fragments"
"""Key of a `websocket.send`: send a text of more than 32 KB as fragments of one message."""


class HttpProtocol(HttpToolsProtocol):
    """HTTP protocol that keeps the client's spelling of header names, because events show it."""

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self._spelled: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        super().on_header(name, value)
        self._spelled.append((name, value))

    def handle_websocket_upgrade(self) -> None:
        """Switch to WebSocket."""
        self.scope["headers"] = self._spelled
        super().handle_websocket_upgrade()


class GatewayProtocol(WebSocketsSansIOProtocol):
    """WebSocket protocol that distinguishes a lost network (1006) from a close without a status (1005)."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end of the network connection."""
        # uvicorn reports 1005 for both. The first message in the queue wins, so this one goes in before uvicorn's own.
        if self.handshake_complete and self.conn.close_rcvd is None and not self.close_sent:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        super().connection_lost(exc)

    def handle_ping(self) -> None:
        """Answer a ping, and report it to the application."""
        super().handle_ping()
        ping: Any = {"type": PING}
        self.queue.put_nowait(ping)

    async def send(self, message: Any) -> None:
        """Send a message of the application."""
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
        """Drop what is not read again. For 1,000 idle connections it would be 5 MB."""
        kept: Any = None
        self.request = self.response = kept
        self.scope["headers"] = []
