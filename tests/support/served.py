"""The emulator's server around an application of a test, in a thread of its own, and clients that are plain sockets."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import uvloop
from parley.asgi import Application, Receive, Scope, Send
from parley.emulator.certificate import certificate
from parley.emulator.options import Address
from parley.emulator.server import Server

from tests.support.waiting import HANGS

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class Served:
    """A running server. `errors` are what its event loop and its loggers had to say of exceptions."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.port = server.port
        self.loop = loop
        self._server = server
        self.errors: list[str] = []
        loop.set_exception_handler(lambda _, context: self.errors.append(str(context.get("message"))))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the server's event loop, and return its result."""
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(HANGS)

    def protocols(self) -> list[Any]:
        """Return the protocols of the open connections."""
        return list(self._server.server_state.connections)

    def connect(self, **options: Any) -> RawClient:
        return RawClient(self.port, **options)


@contextmanager
def serving(application: Application, loop: str = "uvloop", **options: Any) -> Iterator[Served]:
    """Serve an application until the end of the block."""
    started: Future[Served] = Future()
    stopping = asyncio.Event()

    async def serve() -> None:
        server = Server(application, Address(port=0), certificate("127.0.0.1", {}), aborts=False, **options)
        served = Served(server, asyncio.get_running_loop())
        running = asyncio.create_task(server.serve(sockets=[]))
        started.set_result(served)
        await stopping.wait()
        server.should_exit = server.force_exit = True
        await running

    def run() -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    served = started.result(HANGS)
    try:
        yield served
    finally:
        served.loop.call_soon_threadsafe(stopping.set)
        thread.join(HANGS)


class RawClient:
    """A TCP or TLS client that sends what a test says, byte by byte."""

    def __init__(self, port: int, *, tls: bool = False) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), HANGS)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)

    def open(self, path: str = "/live") -> RawClient:
        """Complete a WebSocket handshake."""
        self.socket.sendall(upgrade(path))
        assert self.head().startswith(b"HTTP/1.1 101")
        return self

    def head(self) -> bytes:
        """Read a response up to the empty line after its headers."""
        found = b""
        while not found.endswith(b"\r\n\r\n"):
            byte = self.socket.recv(1)
            if not byte:
                return found
            found += byte
        return found

    def send(self, *pieces: bytes) -> None:
        self.socket.sendall(b"".join(pieces))

    def is_dropped(self) -> bool:
        """Wait for the end of the connection, and return whether it came without a byte."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def rest(self) -> bytes:
        """Read until the server has ended its side. Raises `ConnectionResetError` where it does not end but resets."""
        found = b""
        while data := self.socket.recv(65_536):
            found += data
        return found

    def close_code(self) -> int:
        """Read to the end of the connection, and return the code of the close frame, which must be the last frame."""
        found = self.frames_until_close()
        assert self.rest() == b""
        return code_of(found[-1])

    def next_frame(self) -> tuple[int, bytes]:
        """Read one frame."""
        head = self._exactly(2)
        length = head[1] & 0x7F
        if length == 126:
            length = struct.unpack(">H", self._exactly(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", self._exactly(8))[0]
        return head[0] & 0x0F, self._exactly(length)

    def frames_until_close(self) -> list[tuple[int, bytes]]:
        """Read up to a close frame."""
        found = [self.next_frame()]
        while found[-1][0] != CLOSE:
            found.append(self.next_frame())
        return found

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            data = self.socket.recv(size - len(found))
            assert data, "the connection has ended"
            found += data
        return found

    def leave(self) -> None:
        self.socket.close()


TEXT, BINARY, CLOSE, PING, CONTINUATION = 1, 2, 8, 9, 0


def upgrade(path: str = "/live", *headers: bytes) -> bytes:
    """Return a handshake."""
    lines = [
        b"GET " + path.encode() + b" HTTP/1.1",
        b"Host: 127.0.0.1",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: " + base64.b64encode(b"0" * 16),
        b"Sec-WebSocket-Version: 13",
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """Return a client's frame. Its mask changes nothing."""
    length, mask = len(payload), 0x80 if masked else 0
    head = bytes([fin << 7 | reserved << 4 | opcode])
    if length < 126:
        head += bytes([mask | length])
    elif length < 65_536:
        head += bytes([mask | 126]) + struct.pack(">H", length)
    else:
        head += bytes([mask | 127]) + struct.pack(">Q", length)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def code_of(closing: tuple[int, bytes]) -> int:
    """Return the code of a close frame."""
    return int(struct.unpack(">H", closing[1][:2])[0])


class Gateway:
    """An application that opens every WebSocket, keeps what it receives, and answers HTTP with what it was sent.

    `ended` are the codes of the connections that have ended, in order, and -1 for requests that were not completed.
    """

    def __init__(self) -> None:
        self.sends: list[Send] = []
        self.received: list[str] = []
        self.ended: list[int] = []
        self.changed = threading.Condition()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._measure(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        self.sends.append(send)
        while (message := await receive())["type"] != "websocket.disconnect":
            if message["type"] == "websocket.receive":
                self._note(self.received, message.get("text") or "")
        self._note(self.ended, message["code"])

    async def _measure(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with the size of its body, or with as many bytes as its query says."""
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self._note(self.ended, -1)
                return
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        asked = int(scope["query_string"] or 0)
        body = b"x" * asked or str(size).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for start in range(0, len(body), 65_536):
            await send({"type": "http.response.body", "body": body[start : start + 65_536], "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        self._note(self.ended, 0)

    def _note(self, where: list[Any], what: Any) -> None:
        with self.changed:
            where.append(what)
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, HANGS)
