"""A network connection whose end reaches the client: our side is ended first, then what comes is read to its end."""

from __future__ import annotations

import asyncio
from typing import Any, cast

LINGER_SECONDS = 5.0
"""The time that a client has to end its side, or to read on while there is more to read. After it the connection is
aborted."""

LINGER_BYTES = 64 * 1024 * 1024
"""The number of bytes that are read and discarded after the end, after which the connection is aborted."""

QUIET_SECONDS = 0.1
"""The time without a byte of the client after which a TLS connection is closed."""


class LingeringTransport:
    """A transport whose `close` loses nothing that was written. All else is the transport's own.

    The kernel resets a connection that is closed while bytes of the client are unread. A reset also discards what the
    client has not read yet: the close frame. So, as RFC 6455 section 7.1.1 says, `close` ends our side, and discards
    what comes until the client has ended its side. Over TLS our side cannot end alone. There `close` discards what
    comes until the client is quiet.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._ending: _Ending | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Return whether the connection ends. Nothing can be written then."""
        return self._ending is not None or self._transport.is_closing()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Change the protocol. If the connection ends, this one is told of its end, and gets nothing else."""
        if self._ending is None:
            self._transport.set_protocol(protocol)
        else:
            self._ending.before = cast(asyncio.Protocol, protocol)

    def write(self, data: bytes) -> None:
        """Send bytes; drop them if the connection ends."""
        if not self.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Stop reading. Does nothing if the connection ends: then everything is read."""
        if not self.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if not self.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Send what was written, end our side, and close the connection once the client has ended its side."""
        if not self.is_closing():
            self._ending = _Ending(self._transport)
            self._ending.begin()

    def close_idle(self) -> None:
        """Close a connection on which nothing is under way. It ends at once.

        A request that the client sends meanwhile must not be read and discarded: the client is to see that it failed.
        """
        self._transport.close()


class ResponseTransport:
    """The transport of one response: its head waits for the body, until the turn of the event loop ends.

    uvicorn writes them apart, and the event loop sends at once. Then the client would wake up twice for each response.
    All else is the transport's own.
    """

    def __init__(self, transport: LingeringTransport) -> None:
        self._transport = transport
        self._head = b""
        self._sending: asyncio.Handle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send bytes. The first ones may wait for the next."""
        if self._sending is None:
            self._head, self._sending = data, asyncio.get_running_loop().call_soon(self._send)
        else:
            self._send(data)

    def close(self) -> None:
        """Send what waits, and close the connection."""
        self._send()
        self._transport.close()

    def _send(self, data: bytes = b"") -> None:
        if self._head and self._sending is not None:
            self._sending.cancel()
        data, self._head = self._head + data, b""
        if data:
            self._transport.write(data)


class _Ending(asyncio.Protocol):
    """The protocol of a connection that ends. `before` is the one before it, which is told of the end."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.before = cast(asyncio.Protocol, transport.get_protocol())
        self._transport = transport
        self._discarded = 0
        self._loop = asyncio.get_running_loop()
        self._unsent = transport.get_write_buffer_size()
        self._limit = self._loop.call_later(LINGER_SECONDS, self._check_progress)
        self._quiet: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """End our side, and read on."""
        self._transport.set_protocol(self)
        try:
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._await_quiet()
            self._transport.resume_reading()
        except (OSError, RuntimeError):  # the client has reset the connection, and this is not known here yet
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Discard bytes, but not without end."""
        self._discarded += len(data)
        if self._discarded > LINGER_BYTES:
            self._transport.abort()
        elif self._quiet is not None:
            self._quiet.cancel()
            self._await_quiet()

    def eof_received(self) -> None:
        """Let the transport close the connection: the client has ended its side too."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the protocol before this one."""
        self._limit.cancel()
        if self._quiet is not None:
            self._quiet.cancel()
        self.before.connection_lost(exc)

    def pause_writing(self) -> None:
        """Tell the protocol before this one."""
        self.before.pause_writing()

    def resume_writing(self) -> None:
        """Tell the protocol before this one."""
        self.before.resume_writing()

    def _check_progress(self) -> None:
        """Abort the connection, unless the client has read something since the last time."""
        unsent = self._transport.get_write_buffer_size()
        if unsent < self._unsent:
            self._unsent = unsent
            self._limit = self._loop.call_later(LINGER_SECONDS, self._check_progress)
        else:
            self._transport.abort()

    def _await_quiet(self) -> None:
        self._quiet = self._loop.call_later(QUIET_SECONDS, self._transport.close)
