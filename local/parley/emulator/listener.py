"""The port of the emulator. It takes plain connections and TLS connections."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable

from parley.errors import StartError
from parley.gateway.websocket.protocol import HEAD_SECONDS

_MAX_ACCEPTS = 256
"""The number of connections that are accepted in one turn of the event loop."""
_BACKLOG = 2048
_MAX_SILENT = 256
"""The number of connections that may have sent nothing yet. With one more the oldest is dropped."""

ACCEPT_PAUSE_SECONDS = 0.5
"""The time without accepting after an error, such as having no descriptors left. The waiting connections keep the
listener readable, so without a pause the loop would try again at once, for ever."""

_TLS_HANDSHAKE = b"\x16"
"""The first byte of every TLS connection (RFC 8446 section 5.1: content type `handshake`), and of no HTTP request."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises `StartError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StartError(f"Cannot listen on {host}:{port}: {_reason_and_next_step(error)}") from None
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def _reason_and_next_step(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            "another program listens there. Stop that program, or choose another port: "
            "`make run PORT=8001`, `parley up --port 8001`."
        )
    return (
        f"{error.strerror or error}. Choose an address of this machine with --host, and a port above 1023 with --port."
    )


class Acceptor:
    """The loop that accepts connections and gives each one a protocol.

    A connection whose first byte begins a TLS handshake gets TLS. `context` is called at the first one of these. A
    connection that sends nothing is dropped after `HEAD_SECONDS`.
    """

    def __init__(
        self, listener: socket.socket, make: Callable[[], asyncio.Protocol], context: Callable[[], ssl.SSLContext]
    ) -> None:
        self._listener = listener
        self._make = make
        self._context = context
        self._tls: ssl.SSLContext | None = None
        self._loop = asyncio.get_running_loop()
        self._undecided: dict[socket.socket, asyncio.TimerHandle] = {}
        self._pause: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start to accept connections."""
        self._loop.add_reader(self._listener, self._accept)

    def stop(self) -> None:
        """Stop accepting connections, and drop those that have not sent anything yet."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for connection in list(self._undecided):
            self._drop(connection)

    def _accept(self) -> None:
        for _ in range(_MAX_ACCEPTS):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # out of descriptors: the other connections wait until some are free again
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(ACCEPT_PAUSE_SECONDS, self.start)
                return
            connection.setblocking(False)
            # Nagle's algorithm would delay every small answer by 40 ms.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if len(self._undecided) >= _MAX_SILENT:
                self._drop_oldest()
            self._undecided[connection] = self._loop.call_later(HEAD_SECONDS, self._drop, connection)
            self._loop.add_reader(connection, self._decide, connection)

    def _drop_oldest(self) -> None:
        """Drop the connection that has been silent for longest, unless its first byte has come by now."""
        oldest = next(iter(self._undecided))
        self._decide(oldest)
        if oldest in self._undecided:
            self._drop(oldest)

    def _drop(self, connection: socket.socket) -> None:
        self._forget(connection)
        connection.close()

    def _forget(self, connection: socket.socket) -> None:
        self._loop.remove_reader(connection)
        self._undecided.pop(connection).cancel()

    def _decide(self, connection: socket.socket) -> None:
        try:
            first = connection.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            first = b""
        self._forget(connection)
        if not first:
            connection.close()
            return
        task = self._loop.create_task(self._serve(connection, first == _TLS_HANDSHAKE))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket, tls: bool) -> None:
        if tls and self._tls is None:
            self._tls = self._context()
        try:
            if tls:
                await self._loop.connect_accepted_socket(
                    self._make, connection, ssl=self._tls, ssl_handshake_timeout=HEAD_SECONDS
                )
            else:
                await self._loop.connect_accepted_socket(self._make, connection)
        except OSError:  # the TLS handshake failed; the client has got the reason
            connection.close()
