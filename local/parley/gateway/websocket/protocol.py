"""uvicorn's protocols with what ASGI cannot express: spelling of headers, pings, fragments, and how connections end."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.protocol import OPEN

from parley.gateway.quotas import MAX_FRAME_BYTES
from parley.gateway.websocket.transport import LingeringTransport

PING = "parley.ping"
"""Type of the message that the application receives for a client's ping."""

FRAGMENTS = "parley.fragments"
"""Key of a `websocket.send`: send a text of more than 32 KB as fragments of one message."""

MAX_UNSENT_BYTES = 1024 * 1024
"""The size of a client's buffer: the bytes that wait here for a client that does not read. The system has its own."""

_PONG = b"\x8a"
"""The first byte of a pong (RFC 6455 section 5.2)."""

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class ClientBufferFull(Exception):
    """The client does not read: its buffer takes nothing more."""


class HttpProtocol(HttpToolsProtocol):
    """HTTP protocol that keeps the client's spelling of header names, because events show it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start a connection."""
        super().connection_made(cast(asyncio.Transport, LingeringTransport(cast(asyncio.Transport, transport))))

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
    """WebSocket protocol that never waits for the client: it sends at once, or not at all.

    It distinguishes a lost network (1006) from a close without a status (1005).
    """

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end of the network connection."""
        # uvicorn reports 1005 for both. The first message in the queue wins, so this one goes in before uvicorn's own.
        if self.handshake_complete and self.conn.close_rcvd is None and not self.close_sent:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Do nothing. uvicorn would let everything wait that is to be sent, the close frame too."""

    def data_received(self, data: bytes) -> None:
        """Take bytes of the client."""
        self.conn.receive_data(data)
        if self.conn.handshake_exc is not None:
            self._refuse_handshake()
            return
        # First what came before the error: whether it came in one packet with it must make no difference.
        self.handle_events()
        if self.conn.parser_exc is not None:
            self.handle_parser_exception()

    def handle_cont(self, event: Frame) -> None:
        """Keep a fragment of a message. An empty one is not kept: there may be any number of them."""
        if event.data or event.fin:
            super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer a ping, and report it to the application. A client with a full buffer gets no answer."""
        output = self.conn.data_to_send()
        if self._is_full():
            output = [each for each in output if not each.startswith(_PONG)]
        self.transport.write(b"".join(output))
        ping: Any = {"type": PING}
        self.queue.put_nowait(ping)

    def send_receive_event_to_app(self) -> None:
        """Pass a message to the application. One that is not UTF-8 ends the connection with 1007."""
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(self.frames):
            self.frames = []
            self.conn.fail(CloseCode.INVALID_DATA, "invalid UTF-8")
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """End the connection because of what the client sent. Does nothing if it has ended."""
        if not self.transport.is_closing():
            super().handle_parser_exception()

    def shutdown(self) -> None:
        """End the connection because the server ends. Does nothing if it ends already."""
        if not self.transport.is_closing():
            super().shutdown()

    async def send(self, message: Any) -> None:
        """Send a message of the application.

        Raises `ClientDisconnected` if the client has gone or the connection ends, and `ClientBufferFull`.
        """
        if message["type"] == "websocket.send":
            self._check_open()
            if message.get(FRAGMENTS) and len(text := message["text"].encode()) > MAX_FRAME_BYTES:
                self._send_fragments(text)
                return
        elif message["type"] == "websocket.close" and self.close_sent:
            return
        await super().send(message)
        if message["type"] == "websocket.accept":
            self._forget_handshake()

    def _check_open(self) -> None:
        if self.disconnected or self.close_sent or self.conn.state is not OPEN or self.transport.is_closing():
            raise ClientDisconnected
        if self._is_full():
            raise ClientBufferFull

    def _is_full(self) -> bool:
        return self.transport.get_write_buffer_size() >= MAX_UNSENT_BYTES

    def _send_fragments(self, text: bytes) -> None:
        self.conn.send_text(text[:MAX_FRAME_BYTES], fin=False)
        for start in range(MAX_FRAME_BYTES, len(text), MAX_FRAME_BYTES):
            self.conn.send_continuation(text[start : start + MAX_FRAME_BYTES], fin=start + MAX_FRAME_BYTES >= len(text))
        self.transport.write(b"".join(self.conn.data_to_send()))

    def _refuse_handshake(self) -> None:
        """Answer a request that is no handshake. The library has written the answer, or has none."""
        self.handshake_complete = self.close_sent = True
        self.transport.write(b"".join(self.conn.data_to_send()) or _BAD_REQUEST)
        self.transport.close()

    def _forget_handshake(self) -> None:
        """Drop what is not read again. For 1,000 idle connections it would be 5 MB."""
        kept: Any = None
        self.request = self.response = kept
        self.scope["headers"] = []


def _is_utf8(pieces: list[bytes]) -> bool:
    try:
        b"".join(pieces).decode()
    except UnicodeDecodeError:
        return False
    return True
