"""AWS's Lambda Runtime API for one environment. `awslambdaric`, in the environment's process, is its client.

On AWS nobody else is in the environment. Here other users of the machine and web pages reach the port, so every path
begins with a secret that only the process knows, and what a browser sends is refused. An executable may take no path
as a part of the address; then the kernel is asked whose connection it is, and those of other users are dropped. The
order of requests is checked as by AWS's own emulator of this API (aws-lambda-runtime-interface-emulator,
`rapi/rendering`): an event has one poller, and an answer names the invocation that runs.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import cast

import httptools

from parley.functions.invocation import MAX_RESPONSE_BYTES, UNHANDLED, FunctionResponse, Invocation, too_large

_ROOT = "/2018-06-01/runtime"
_REPORT = re.compile(rf"{_ROOT}/(?:invocation/([^/]+)/(response|error)|init/error)")
_MAX_HEAD_BYTES = 2 * 1024 * 1024
"""The size of a request's line and headers: the runtime sends the cause of an error in a header of up to 1 MB."""

HEAD_SECONDS = 10.0
"""The time that a new connection has for the secret."""

_ACCEPTED = b'{"status":"OK"}'
_FORBIDDEN = b'{"errorType":"Forbidden","errorMessage":"Only the environment may call its Runtime API."}'
_OTHER_ID = b'{"errorType":"InvalidRequestID","errorMessage":"Invalid request ID"}'
_OUT_OF_ORDER = b'{"errorType":"InvalidStateTransition","errorMessage":"State transition is not allowed"}'
_TOO_LARGE = b'{"errorType":"RequestEntityTooLarge","errorMessage":"Exceeded maximum allowed payload size."}'
_NOT_FOUND = b'{"errorType":"NotFound","errorMessage":"No such path in the Runtime API."}'


class RuntimeApi:
    """The server for one environment, on a port of its own.

    `on_next` is called when the runtime asks for an event. `on_response` gets the function's response, or the error
    that kept the function from starting. With `in_path` the secret is a part of the address.
    """

    def __init__(
        self, on_next: Callable[[], None], on_response: Callable[[FunctionResponse], None], *, in_path: bool = True
    ) -> None:
        self._on_next = on_next
        self._on_response = on_response
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._waiting: _Connection | None = None
        self._running: str | None = None
        self._starting = True
        self._prefix = f"/{secrets.token_urlsafe(24)}" if in_path else ""
        self._host = ""

    async def open(self) -> str:
        """Start to listen. Return the address with the secret, for the variable AWS_LAMBDA_RUNTIME_API."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self._host = f"{host}:{port}"
        return f"{self._host}{self._prefix}"

    def give(self, invocation: Invocation, arn: str) -> None:
        """Send an event to the runtime, which waits for one. The function's time starts now."""
        waiting, self._waiting = self._waiting, None
        self._running = invocation.request_id
        # If its connection is gone, its process has died. The end of the process is reported in another way.
        if waiting is not None:
            waiting.answer(HTTPStatus.OK, invocation.payload, _invocation_headers(invocation, arn))

    def close(self) -> None:
        """Stop listening and drop the connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.drop()

    def opened(self, connection: _Connection, peer: tuple[str, int]) -> None:
        """Add a connection. Drop it if it has no secret to tell, and is another user's."""
        self._connections.add(connection)
        if not self._prefix and owner(peer) not in (None, os.getuid()):
            connection.drop()

    def lost(self, connection: _Connection) -> None:
        """Remove a connection."""
        self._connections.discard(connection)
        if self._waiting is connection:
            self._waiting = None

    def admits(self, path: str, headers: Mapping[str, list[str]]) -> bool:
        """Return whether a request is the environment's own. `headers` have lower-case names."""
        prefix = path[: len(self._prefix)]
        is_page = "origin" in headers or "sec-fetch-site" in headers
        return secrets.compare_digest(prefix.encode(), self._prefix.encode()) and not (
            is_page or headers.get("host") != [self._host]
        )

    def received(self, connection: _Connection, path: str, body: bytes) -> None:
        """Handle a whole request of the environment's."""
        path = path.removeprefix(self._prefix)
        if path == f"{_ROOT}/invocation/next":
            self._poll(connection)
        elif report := _REPORT.fullmatch(path):
            self._take_report(connection, report[1], report[2], body)
        else:
            connection.answer(HTTPStatus.NOT_FOUND, _NOT_FOUND)

    def _poll(self, connection: _Connection) -> None:
        if self._waiting is not None or self._running is not None:
            connection.answer(HTTPStatus.FORBIDDEN, _OUT_OF_ORDER)
            return
        # No answer yet: the runtime waits on this request until there is an event, as on AWS.
        self._waiting, self._starting = connection, False
        self._on_next()

    def _take_report(self, connection: _Connection, request_id: str | None, kind: str | None, body: bytes) -> None:
        if request_id is None and not self._starting:
            connection.answer(HTTPStatus.FORBIDDEN, _OUT_OF_ORDER)
            return
        if request_id != self._running:
            connection.answer(HTTPStatus.BAD_REQUEST, _OTHER_ID)
            return
        self._running, self._starting = None, False
        if kind != "response":
            connection.answer(HTTPStatus.ACCEPTED, _ACCEPTED)
            self._on_response(FunctionResponse(body, UNHANDLED))
        elif len(body) > MAX_RESPONSE_BYTES:
            connection.answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
            self._on_response(too_large(len(body)))
        else:
            connection.answer(HTTPStatus.ACCEPTED, _ACCEPTED)
            self._on_response(FunctionResponse(body))


def owner(peer: tuple[str, int]) -> int | None:
    """Return the user whose process has this end of a connection on this machine; None where that is unknown."""
    host, port = peer
    # `local_address` of proc_net_tcp: the four bytes of the address as one number in the machine's order.
    address = f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
    try:
        with open("/proc/net/tcp", encoding="ascii") as file:  # noqa: PTH123 - a Path reads it as a whole
            return next((int(fields[7]) for line in file if (fields := line.split())[1] == address), None)
    except OSError:
        return None


class _Refused(Exception):
    """The request is not the environment's, or has no end. The parser ends with it."""


class _Connection(asyncio.Protocol):
    """One HTTP/1.1 connection. The methods that begin with `on_` are httptools' callbacks.

    A connection has little time to begin with an admitted request. After one it belongs to the environment.
    """

    def __init__(self, api: RuntimeApi) -> None:
        self._api = api
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._path = b""
        self._headers: dict[str, list[str]] = {}
        self._body: list[bytes] = []
        self._in_head = True
        self._head_bytes = 0
        self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self.drop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._api.opened(self, transport.get_extra_info("peername"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._api.lost(self)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.end()
        if self._in_head and self._head_bytes > _MAX_HEAD_BYTES:
            self.drop()

    def on_message_begin(self) -> None:
        self._path, self._headers, self._body = b"", {}, []
        self._in_head, self._head_bytes = True, 0

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        self._in_head = False
        if not self._api.admits(self._path.decode("latin-1"), self._headers):
            self.answer(HTTPStatus.FORBIDDEN, _FORBIDDEN)
            raise _Refused
        self._timer.cancel()

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

    def end(self) -> None:
        """End the connection once what was written has been sent."""
        if self._transport is not None:
            self._transport.close()

    def drop(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()


def _invocation_headers(invocation: Invocation, arn: str) -> dict[str, str]:
    now = time.time()
    trace_id = f"1-{int(now):08x}-{secrets.token_hex(12)}"
    context = {"Lambda-Runtime-Client-Context": invocation.client_context} if invocation.client_context else {}
    return context | {
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        "Lambda-Runtime-Deadline-Ms": str(int((now + invocation.function.timeout) * 1000)),
        "Lambda-Runtime-Invoked-Function-Arn": arn,
        "Lambda-Runtime-Trace-Id": f"Root={trace_id};Parent={secrets.token_hex(8)};Sampled=0",
    }
