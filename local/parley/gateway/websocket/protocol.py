"""uvicorn's protocols with what ASGI cannot express: spelling of headers, pings, fragments, and how connections end."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.protocol import OPEN

from parley.gateway.quotas import MAX_FRAME_BYTES
from parley.gateway.websocket.transport import LingeringTransport, ResponseTransport

PING = "parley.ping"
"""Type of the message that the application receives for a client's ping."""

FRAGMENTS = "parley.fragments"
"""Key of a `websocket.send`: send a text of more than 32 KB as fragments of one message."""

MAX_UNSENT_BYTES = 1024 * 1024
"""The size of a client's buffer: the bytes that wait here for a client that does not read. The system has its own."""

MAX_HEAD_BYTES = 64 * 1024
"""The size of a request's line and headers."""

HEAD_SECONDS = 10.0
"""The time that a client has for the line and headers of a request, and for the TLS handshake before."""

SILENCE_SECONDS = 30.0
"""The time without a byte after which a request is dropped that has begun and is not complete."""

UNREAD_SECONDS = 60.0
"""The time after which a connection is dropped if the client reads nothing of a response."""

_PONG = b"\x8a"
"""The first byte of a pong (RFC 6455 section 5.2)."""

_NO_BODY = b"connection: close\r\ncontent-length: 0\r\n\r\n"


class ClientBufferFull(Exception):
    """The client does not read: its buffer takes nothing more."""


class _HeadTooLarge(Exception):
    """The line and the headers of a request have more bytes than `MAX_HEAD_BYTES`."""


class HttpProtocol(HttpToolsProtocol):
    """HTTP protocol with limits on what a client may cost.

    It keeps the client's spelling of header names, because events show it.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start a connection. Its first request is due."""
        super().connection_made(cast(asyncio.Transport, LingeringTransport(cast(asyncio.Transport, transport))))
        self._in_head = True
        self._head_bytes = self._unparsed_bytes = 0
        self._due: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._expect(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end of the network connection."""
        self._expect(None)
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the client."""
        if self._in_head:
            self._unparsed_bytes += len(data)
        elif self._due is not None:
            self._expect(SILENCE_SECONDS)
        super().data_received(data)
        # The parser keeps a header to itself until it is complete. One that has no end shows by its bytes only.
        if self._in_head and self._unparsed_bytes > MAX_HEAD_BYTES:
            self._refuse(431)

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self._spelled: list[tuple[bytes, bytes]] = []
        self._in_head = True
        self._head_bytes = self._unparsed_bytes = 0
        self._expect(HEAD_SECONDS)

    def on_url(self, url: bytes) -> None:
        """Keep a part of the URL. Raises `_HeadTooLarge`."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header. Raises `_HeadTooLarge`."""
        self._count(len(name) + len(value))
        super().on_header(name, value)
        self._spelled.append((name, value))

    def on_headers_complete(self) -> None:
        """Start to answer a request. Its body is due."""
        self._in_head = False
        self._expect(SILENCE_SECONDS)
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            self.cycle.transport = cast(asyncio.Transport, ResponseTransport(cast(LingeringTransport, self.transport)))

    def on_message_complete(self) -> None:
        """End a request. Nothing is due."""
        self._expect(None)
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which no further request has come in time."""
        cast(LingeringTransport, self.transport).close_idle()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, or one that is too large."""
        self._refuse(431 if self._head_bytes > MAX_HEAD_BYTES else 400)

    def handle_websocket_upgrade(self) -> None:
        """Switch to WebSocket."""
        self._expect(None)
        self.resume_writing()
        self.scope["headers"] = self._spelled
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """Let the application wait for the client to read, but not for ever."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Let the application go on."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _HeadTooLarge  # the parser reports it as an error of the request

    def _expect(self, seconds: float | None) -> None:
        """Set the time in which the client must send what is due; None if nothing is due."""
        if self._due is not None:
            self._due.cancel()
        self._due = None if seconds is None else self.loop.call_later(seconds, self._time_out)

    def _time_out(self) -> None:
        if self.flow.read_paused:  # it is the application that does not read on
            self._expect(SILENCE_SECONDS)
        elif self._in_head:
            self._refuse(408)
        else:
            self.transport.abort()

    def _refuse(self, status: int) -> None:
        """Answer a request whose head is not taken, and end the connection."""
        self._expect(None)
        self._in_head = False
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(STATUS_LINE[status] + _NO_BODY)
        self.transport.close()


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

    async def run_asgi(self) -> None:
        """Run the application for one connection."""
        self._application, self.app = self.app, self._serve
        await super().run_asgi()

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        await self._application(scope, receive, send)
        # uvicorn takes a handshake that was refused with a response, or whose client has gone, for one without an
        # answer: it logs an error. Nothing is missing here.
        if self.close_sent or self.transport.is_closing():
            self.handshake_complete = True

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
        self.transport.write(b"".join(self.conn.data_to_send()) or STATUS_LINE[400] + _NO_BODY)
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
