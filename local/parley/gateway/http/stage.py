"""An HTTP API: turns requests into events, and results of functions into responses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from urllib.parse import quote

from parley.asgi import BodyTooLarge, Receive, Scope, Send, limited, read_body
from parley.clock import Clock
from parley.functions.invocation import Outcome
from parley.functions.service import UnknownFunction
from parley.gateway.http.event import HttpRequest, event_path
from parley.gateway.http.response import HttpApiResponse, InvalidFunctionResponse, parse_response
from parley.gateway.http.router import RouteMatch, Router
from parley.gateway.quotas import HTTP_INTEGRATION_TIME, HTTP_REQUEST_SIZE, MAX_HTTP_REQUEST_BYTES, Limit
from parley.template.model import HttpApi
from parley.trace import Trace

MAX_EVENT_BYTES = 6 * 1024 * 1024
"""Maximum size of an event of a synchronous invocation (Lambda quotas)."""

MAX_INTEGRATION_SECONDS = 30.0
"""Maximum time of an integration (quotas for HTTP APIs)."""

DEFAULT_STAGE = "$default"

_FAILED = HttpApiResponse.of_message(500, "Internal Server Error")
_TOO_LARGE = HttpApiResponse.of_message(413, "Request Entity Too Large")
# Of a request that is not read to its end. The client reads the answer nevertheless (LingeringTransport).
_UNREAD = replace(_TOO_LARGE, headers=(*_TOO_LARGE.headers, ("connection", "close")))


class HttpGateway:
    """Serves one HTTP API, as an ASGI application for `http` scopes.

    `path` is the path where it is mounted, for example `/Other`. Clients' paths begin with it, paths in events do not.
    """

    def __init__(
        self,
        api: HttpApi,
        invoke: Callable[[str, bytes, str], Awaitable[Outcome]],
        trace: Trace,
        clock: Clock,
        path: str = "",
    ) -> None:
        self._api = api
        self._invoke = invoke
        self._trace = trace
        self._clock = clock
        self._mount = path.rstrip("/")
        self._stage = "" if api.stage == DEFAULT_STAGE else f"/{api.stage}"
        self._router = Router(api.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises `ClientGone`."""
        body = await _read_body(receive)
        asked = _path(scope).removeprefix(self._mount) or "/"
        match = self._match(scope["method"], asked)
        if match is None:
            self._trace.record("unrouted", method=scope["method"], path=scope["path"])
            return await HttpApiResponse.of_message(404, "Not Found").response().send(send)
        path = event_path(asked)
        if path is None:
            self._trace.record("unrouted", method=scope["method"], path=scope["path"])
            return await HttpApiResponse.of_message(400, "Bad Request").response().send(send)
        request = HttpRequest(scope, body or b"", self._api, match, path, self._clock.time())
        if body is None:
            self._limit(request, "answered with 413", HTTP_REQUEST_SIZE)
            result = _Result(_UNREAD, "the request has more than 10 MB")
        else:
            result = await self._integrate(request)
        self._record(request, result)
        return await result.response.response(request.request_id).send(send)

    def _match(self, method: str, path: str) -> RouteMatch | None:
        if self._stage and path != self._stage and not path.startswith(f"{self._stage}/"):
            return None
        return self._router.match(method, path.removeprefix(self._stage) or "/")

    async def _integrate(self, request: HttpRequest) -> _Result:
        """Invoke the route's function. After the time limit the function keeps running, as on AWS."""
        route = request.match.route
        event = json.dumps(request.event(route.payload)).encode()
        if len(event) > MAX_EVENT_BYTES:
            return _Result(_TOO_LARGE, "the event has more than 6 MB, Lambda's maximum")
        invocation = asyncio.ensure_future(self._invoke(route.function, event, route.qualifier))
        if not await self._clock.within(MAX_INTEGRATION_SECONDS, invocation):
            why = f"timed out after {MAX_INTEGRATION_SECONDS:g} s; {route.function} keeps running"
            self._limit(request, why, HTTP_INTEGRATION_TIME)
            return _Result(HttpApiResponse.of_message(503, "Service Unavailable"), why)
        try:
            return _result_of(invocation.result(), route.payload)
        except UnknownFunction as error:
            return _Result(_FAILED, str(error))

    def _limit(self, request: HttpRequest, what: str, limit: Limit) -> None:
        told = f"{request.scope['method']} {request.path} {what}"
        self._trace.record("limit", connection_id="", what=told, **limit.as_fields())

    def _record(self, request: HttpRequest, result: _Result) -> None:
        self._trace.record(
            "http",
            method=request.scope["method"],
            path=request.scope["path"],
            function=request.match.route.function,
            milliseconds=round((self._clock.time() - request.now) * 1000, 1),
            cold=result.outcome.cold if result.outcome else None,
            error=result.error,
            status=result.response.status,
        )


@dataclass(frozen=True, slots=True)
class _Result:
    response: HttpApiResponse
    error: str | None = None
    outcome: Outcome | None = None


def _result_of(outcome: Outcome, payload: str) -> _Result:
    if outcome.function_error:
        return _Result(_FAILED, outcome.function_error, outcome)
    try:
        return _Result(parse_response(outcome.payload, payload), None, outcome)
    except InvalidFunctionResponse as error:
        return _Result(_FAILED, str(error), outcome)


def _path(scope: Scope) -> str:
    """Return the path as sent, still encoded."""
    raw: bytes | None = scope.get("raw_path")
    return quote(scope["path"]) if raw is None else raw.partition(b"?")[0].decode("latin-1")


async def _read_body(receive: Receive) -> bytes | None:
    """Return the body of a request; None as soon as it is too large. Raises `ClientGone`."""
    try:
        return await read_body(limited(receive, MAX_HTTP_REQUEST_BYTES))
    except BodyTooLarge:
        return None
