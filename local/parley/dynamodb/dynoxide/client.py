"""A client of the engine: HTTP/1.1 over connections that are kept, in the event loop.

An answer takes a fraction of a millisecond, so a thread for each request or a new connection would cost more than it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

import httptools

from parley.asgi import Response
from parley.dynamodb.engine import Within

MAX_IDLE = 32
"""Connections that are kept when they are not used."""


class NoAnswer(Exception):
    """The engine did not answer. The text says why."""


class TooLate(NoAnswer):
    """The engine did not answer in time. It may still run."""


class Client:
    """Sends requests to one address. `seconds` is how long an answer may take."""

    def __init__(self, host: str, port: int, within: Within, seconds: float) -> None:
        self._host, self._port = host, port
        self._within = within
        self._seconds = seconds
        self._idle: list[_Connection] = []

    async def post(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Post a request to `/` and return the answer. Raises `NoAnswer`."""
        connection = await self._connection()
        answering = connection.send(_request(self._host, headers, body))
        try:
            if not await self._within(self._seconds, answering):
                raise TooLate(f"it did not answer within {self._seconds:g} s")
            answer = answering.result()
        except BaseException:
            answering.cancel()
            connection.close()
            raise
        if connection.is_open and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        try:
            _, connection = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        except OSError as error:
            raise NoAnswer(f"it cannot be reached: {error.strerror or error}") from None
        return connection

    def close(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            self._idle.pop().close()


def _request(host: str, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {"Host": host, "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST / HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


class _Connection(asyncio.Protocol):
    """One connection, with one request at a time. The methods that begin with `on_` are httptools' callbacks."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answering: asyncio.Future[Response] | None = None
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """True if the connection can take another request."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes) -> asyncio.Future[Response]:
        """Send a request and return its answer to come."""
        self._headers, self._body = {}, []
        self._answering = asyncio.get_running_loop().create_future()
        if self._transport is not None:
            self._transport.write(request)
        else:
            self._fail("it closed the connection")
        return self._answering

    def close(self) -> None:
        """End the connection at once. An answer that is still to come fails."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"it answered with what is not HTTP: {error}")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail("it closed the connection without an answer")

    def _fail(self, why: str) -> None:
        if self._answering is not None and not self._answering.done():
            self._answering.set_exception(NoAnswer(why))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        if self._answering is not None and not self._answering.done():
            self._answering.set_result(Response(self._parser.get_status_code(), self._headers, b"".join(self._body)))
