"""CORS of HTTP APIs: pages of a developer may use one from another port of this machine.

On AWS, the API's `CorsConfiguration` or its function says which pages are allowed. That stands. Where they say nothing,
the pages of this machine are allowed here.
"""

from __future__ import annotations

from collections.abc import Callable

from parley.asgi import Application, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]


class SharedWithPages:
    """An HTTP API whose answers pages may read, if `is_allowed` is true for their origin."""

    def __init__(self, application: Application, is_allowed: Callable[[str], bool]) -> None:
        self._application = application
        self._is_allowed = is_allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises `ClientGone`."""
        headers = {name.lower(): value for name, value in scope["headers"]}
        origin = headers.get(b"origin")
        if origin is None or not self._is_allowed(origin.decode("latin-1")):
            await self._application(scope, receive, send)
            return
        # A browser asks with OPTIONS before it sends what a form could not send (Fetch standard, "CORS-preflight").
        asked = headers.get(b"access-control-request-method") if scope["method"] == "OPTIONS" else None
        cors_headers = [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]
        if asked is None:
            await self._application(scope, receive, _Sharing(send, cors_headers))
            return
        cors_headers += [
            (b"access-control-allow-methods", asked),
            (b"access-control-allow-headers", headers.get(b"access-control-request-headers", b"*")),
        ]
        await self._application(scope, receive, _Sharing(send, cors_headers, preflight=True))


class _Sharing:
    """A `send` that adds CORS headers, unless the answer has some of its own.

    The answer to a `preflight` becomes 204 without a body: a browser takes no other status than 2xx.
    """

    def __init__(self, send: Send, cors_headers: Headers, *, preflight: bool = False) -> None:
        self._send = send
        self._cors_headers = cors_headers
        self._preflight = preflight

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = self._start(message)
        elif self._preflight:
            message = {**message, "body": b""}
        await self._send(message)

    def _start(self, message: Message) -> Message:
        headers: Headers = list(message["headers"])
        if any(name.lower() == b"access-control-allow-origin" for name, _ in headers):
            self._preflight = False
            return message
        if self._preflight:
            headers = [each for each in headers if each[0].lower() not in (b"content-length", b"content-type")]
            return {**message, "status": 204, "headers": headers + self._cors_headers}
        exposed = (b"access-control-expose-headers", b"*")
        return {**message, "headers": [*headers, *self._cors_headers, exposed]}
