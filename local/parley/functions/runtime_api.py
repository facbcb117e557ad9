"""AWS's Lambda Runtime API for one environment. `awslambdaric`, in the environment's process, is its client."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import cast

import httptools

from parley.functions.invocation import MAX_RESPONSE_BYTES, UNHANDLED, FunctionResponse, Invocation, too_large

_ROOT = "/2018-06-01/runtime"
_REPORT = re.compile(rf"{_ROOT}/(?:invocation/[^/]+/(response|error)|init/error)")
_ACCEPTED = b'{"status":"OK"}'
_TOO_LARGE = b'{"errorType":"RequestEntityTooLarge","errorMessage":"Exceeded maximum allowed payload size."}'
_NOT_FOUND = b'{"errorType":"NotFound","errorMessage":"No such path in the Runtime API."}'


class RuntimeApi:
    """The server for one environment, on a port of its own.

    `on_next` is called when the runtime asks for an event. `on_response` gets the function's response, or the error
    that kept the function from starting.
    """

    def __init__(self, on_next: Callable[[], None], on_response: Callable[[FunctionResponse], None]) -> None:
        self._on_next = on_next
        self._on_response = on_response
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._waiting: _Connection | None = None

    async def open(self) -> str:
        """Start to listen. Return the address for the variable AWS_LAMBDA_RUNTIME_API."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    def give(self, invocation: Invocation, arn: str) -> None:
        """Send an event to the runtime, which waits for one. The function's time starts now."""
        waiting, self._waiting = self._waiting, None
        # If its connection is gone, its process has died. The end of the process is reported in another way.
        if waiting is not None:
            waiting.answer(HTTPStatus.OK, invocation.payload, _invocation_headers(invocation, arn))

    def close(self) -> None:
        """Stop listening and drop the connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.drop()

    def opened(self, connection: _Connection) -> None:
        """Add a connection of the runtime's."""
        self._connections.add(connection)

    def lost(self, connection: _Connection) -> None:
        """Remove a connection."""
        self._connections.discard(connection)
        if self._waiting is connection:
            self._waiting = None

    def received(self, connection: _Connection, path: str, body: bytes) -> None:
        """Handle a whole request."""
        if path == f"{_ROOT}/invocation/next":
            # No answer yet: the runtime waits on this request until there is an event, as on AWS.
            self._waiting = connection
            self._on_next()
        elif report := _REPORT.fullmatch(path):
            self._take_report(connection, report[1], body)
        else:
            connection.answer(HTTPStatus.NOT_FOUND, _NOT_FOUND)

    def _take_report(self, connection: _Connection, kind: str | None, body: bytes) -> None:
        if kind != "response":
            connection.answer(HTTPStatus.ACCEPTED, _ACCEPTED)
            self._on_response(FunctionResponse(body, UNHANDLED))
        elif len(body) > MAX_RESPONSE_BYTES:
            connection.answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
            self._on_response(too_large(len(body)))
        else:
            connection.answer(HTTPStatus.ACCEPTED, _ACCEPTED)
            self._on_response(FunctionResponse(body))


class _Connection(asyncio.Protocol):
    """One HTTP/1.1 connection. The methods that begin with `on_` are httptools' callbacks."""

    def __init__(self, api: RuntimeApi) -> None:
        self._api = api
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._path = b""
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._api.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._api.lost(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.drop()

    def on_message_begin(self) -> None:
        self._path, self._body = b"", []

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._api.received(self, self._path.decode("latin-1"), b"".join(self._body))

    def answer(self, status: HTTPStatus, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a response."""
        fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        if self._transport is not None:
            # Head and body in one write. Nagle's algorithm would hold a second write back until the client has
            # acknowledged the first, and the client delays that by 40 ms: every invocation would take 40 ms longer.
            self._transport.write(f"HTTP/1.1 {status} {status.phrase}\r\n{head}\r\n".encode("latin-1") + body)

    def drop(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()


def _invocation_headers(invocation: Invocation, arn: str) -> dict[str, str]:
    now = time.time()
    trace_id = f"1-{int(now):08x}-{secrets.token_hex(12)}"
    return {
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        "Lambda-Runtime-Deadline-Ms": str(int((now + invocation.function.timeout) * 1000)),
        "Lambda-Runtime-Invoked-Function-Arn": arn,
        "Lambda-Runtime-Trace-Id": f"Root={trace_id};Parent={secrets.token_hex(8)};Sampled=0",
    }
