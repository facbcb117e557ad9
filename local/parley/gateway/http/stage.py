"""An HTTP API, a REST API or a function URL: turns requests into events, and results of functions into responses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from parley.asgi import BodyTooLarge, Receive, Scope, Send, limited, read_body
from parley.clock import Clock
from parley.functions.invocation import Outcome
from parley.functions.service import UnknownFunction
from parley.gateway.http.event import HttpRequest, event_path
from parley.gateway.http.kinds import FORBIDDEN, KINDS
from parley.gateway.http.response import HttpApiResponse, InvalidFunctionResponse
from parley.gateway.http.router import DEFAULT_ROUTE, RouteMatch, Router
from parley.template.model import HttpApi
from parley.trace import Trace

MAX_EVENT_BYTES = 6 * 1024 * 1024
"""Maximum size of an event of a synchronous invocation (Lambda quotas)."""

DEFAULT_STAGE = "$default"

_JSON = (("content-type", "application/json"),)
_BAD_REQUEST = HttpApiResponse.of_message(400, "Bad Request")


class HttpGateway:
    """Serves one HTTP API, REST API or function URL, as an ASGI application for `http` scopes.

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
        self._kind = KINDS[api.kind]
        self._invoke = invoke
        self._trace = trace
        self._clock = clock
        self._mount = path.rstrip("/")
        self._stage = "" if api.stage == DEFAULT_STAGE else f"/{api.stage}"
        self._router = Router(api.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises `ClientGone`."""
        body = await _read_body(receive, self._kind.max_bytes)
        asked = _path(scope).removeprefix(self._mount) or "/"
        match = self._match(scope["method"], asked)
        path = event_path(asked)
        if match is None or path is None:
            self._trace.record("unrouted", method=scope["method"], path=scope["path"])
            refusal = self._kind.missing if match is None else _BAD_REQUEST
            return await refusal.response(self._kind.new_id(), self._kind.id_header).send(send)
        request = HttpRequest(scope, body or b"", self._api, match, path, self._clock.time(), self._kind.new_id())
        if body is None:
            self._limit(request, "answered with 413", self._kind.size.as_fields())
            result = _Result(self._kind.unread, f"the request has more than {self._kind.max_bytes >> 20} MB")
        elif self._api.iam and not request.is_signed:
            result = _Result(FORBIDDEN, "the request has no signature, and AuthType is AWS_IAM")
        else:
            result = await self._integrate(request)
        self._record(request, result)
        return await result.response.response(request.request_id, self._kind.id_header).send(send)

    def names(self, scope: Scope) -> bool:
        """Tell if a route of its own has the path of a request: neither `$default` nor one with a greedy variable."""
        match = self._match(scope["method"], _path(scope).removeprefix(self._mount) or "/")
        return match is not None and match.route.path != DEFAULT_ROUTE and "+}" not in match.route.path

    def _match(self, method: str, path: str) -> RouteMatch | None:
        if self._stage and path != self._stage and not path.startswith(f"{self._stage}/"):
            return None
        rest = path.removeprefix(self._stage)
        if self._api.kind == "rest":
            # A stage alone is no resource (stackery/php-lambda-layer#31); a slash at the end changes no resource.
            return self._router.match(method, rest.rstrip("/") or "/") if rest else None
        return self._router.match(method, rest or "/")

    async def _integrate(self, request: HttpRequest) -> _Result:
        """Invoke the route's function. After the time limit the function keeps running, as on AWS."""
        route, kind = request.match.route, self._kind
        if route.unavailable:
            return _Result(kind.failed, route.unavailable)
        event = json.dumps(kind.event(request)).encode()
        if len(event) > MAX_EVENT_BYTES:
            return _Result(kind.too_large, "the event has more than 6 MB, Lambda's maximum")
        invocation = asyncio.ensure_future(self._invoke(route.function, event, route.qualifier))
        if kind.seconds is None:
            await asyncio.wait([invocation])
        elif not await self._clock.within(kind.seconds, invocation):
            why = f"timed out after {kind.seconds:g} s; {route.function} keeps running"
            self._limit(request, why, kind.time.as_fields())
            return _Result(kind.timed_out, why)
        try:
            return self._result(request, invocation.result())
        except UnknownFunction as error:
            return _Result(kind.failed, str(error))

    def _result(self, request: HttpRequest, outcome: Outcome) -> _Result:
        if outcome.throttled and self._api.kind == "url":
            return _Result(HttpApiResponse(429, _JSON, outcome.payload), outcome.function_error, outcome)
        if outcome.function_error:
            return _Result(self._kind.failed, outcome.function_error, outcome)
        try:
            return _Result(self._kind.parse(request, outcome), None, outcome)
        except InvalidFunctionResponse as error:
            return _Result(self._kind.failed, str(error), outcome)

    def _limit(self, request: HttpRequest, what: str, limit: Mapping[str, str]) -> None:
        told = f"{request.scope['method']} {request.path} {what}"
        self._trace.record("limit", connection_id="", what=told, **limit)

    def _record(self, request: HttpRequest, result: _Result) -> None:
        self._trace.record(
            "http",
            method=request.scope["method"],
            path=request.scope["path"],
            function=request.match.route.function or "nothing",
            milliseconds=round((self._clock.time() - request.now) * 1000, 1),
            cold=result.outcome.cold if result.outcome else None,
            error=result.error,
            status=result.response.status,
            request_id=result.outcome.request_id if result.outcome else None,
        )


@dataclass(frozen=True, slots=True)
class _Result:
    response: HttpApiResponse
    error: str | None = None
    outcome: Outcome | None = None


def _path(scope: Scope) -> str:
    """Return the path as sent, still encoded."""
    raw: bytes | None = scope.get("raw_path")
    return quote(scope["path"]) if raw is None else raw.partition(b"?")[0].decode("latin-1")


async def _read_body(receive: Receive, most: int) -> bytes | None:
    """Return the body of a request; None as soon as it is too large. Raises `ClientGone`."""
    try:
        return await read_body(limited(receive, most))
    except BodyTooLarge:
        return None
