"""HTTP requests of integrations: one for each connection, and without redirects."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

MAX_RESPONSE_BYTES = 10 * 1024 * 1024
"""Maximum size of an endpoint's response: API Gateway's quota for payloads."""

_threads = ThreadPoolExecutor(max_workers=200, thread_name_prefix="http-integration")


class RequestFailed(Exception):
    """There is no response. The text says why: nobody listens, unknown host, not HTTP, or the response breaks off."""


class RequestTimedOut(RequestFailed):
    """The response takes too long."""


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """A request. `timeout` is in seconds, for each step: to connect, to send, to wait for the next bytes."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class EndpointResponse:
    """A response of any status. Redirects are not followed."""

    status: int
    body: bytes
    content_type: str = ""


async def send(request: EndpointRequest) -> EndpointResponse:
    """Send a request. Raises `RequestFailed`. Cancellation closes the connection at once."""
    connection, target = _connection(request)
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(_threads, _exchange, connection, target, request)
    except asyncio.CancelledError:
        _abort(connection)
        raise
    except TimeoutError:
        raise RequestTimedOut(f"{request.url} did not answer within {request.timeout:g} s") from None
    except (OSError, HTTPException, ValueError) as error:
        raise RequestFailed(f"{request.url} did not answer: {str(error) or type(error).__name__}") from error


def _connection(request: EndpointRequest) -> tuple[HTTPConnection, str]:
    try:
        url = urlsplit(request.url)
        host, port = url.hostname, url.port
    except ValueError as error:
        raise RequestFailed(f"{request.url} is not a URL: {error}") from error
    if url.scheme not in ("http", "https") or not host:
        raise RequestFailed(f"{request.url} is not an http or https URL; integrations can call no other")
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    return kind(host, port, timeout=request.timeout), _target(url)


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _exchange(connection: HTTPConnection, target: str, request: EndpointRequest) -> EndpointResponse:
    try:
        connection.request(request.method, target, request.body, dict(request.headers))
        response = connection.getresponse()
        body = response.read(MAX_RESPONSE_BYTES + 1)
        if len(body) > MAX_RESPONSE_BYTES:
            raise ValueError(f"the response has more than {MAX_RESPONSE_BYTES} bytes")
        return EndpointResponse(response.status, body, response.getheader("content-type", ""))
    finally:
        connection.close()


def _abort(connection: HTTPConnection) -> None:
    """Wake the thread that waits for the response. It then closes the connection itself.

    `shutdown` wakes a blocked read; `close` from another thread does not.
    """
    waiting: socket.socket | None = connection.sock
    if waiting is not None:
        with contextlib.suppress(OSError):
            waiting.shutdown(socket.SHUT_RDWR)
