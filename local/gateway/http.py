"""An HTTP API: requests to events, and functions' answers to responses."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from local.asgi import Receive, Response, Scope, Send, read_body
from local.clock import Clock
from local.functions.outcome import Outcome
from local.gateway.events import decoded
from local.gateway.http_event import Answer, Request
from local.gateway.quotas import HTTP_INTEGRATION_TIME, HTTP_REQUEST_BYTES, HTTP_REQUEST_SIZE
from local.template.model import HttpApi, HttpRoute
from local.trace import Trace

DEFAULT_ROUTE = "$default"
_SECONDS = 30.0
_FAILED = Response.of_json(500, {"message": "Internal Server Error"})


class HttpGateway:
    """Serves one HTTP API of the template, as an ASGI application for `http` scopes, below `path`."""

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
        self._prefix = path
        self._stage = "" if api.stage == DEFAULT_ROUTE else f"/{api.stage}"
        self._patterns = sorted(map(_Pattern.of, api.routes), key=lambda pattern: pattern.generality)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = await read_body(receive)
        response = await self._answer(scope, body)
        await response.send(send)

    async def _answer(self, scope: Scope, body: bytes) -> Response:
        method, path = scope["method"], scope["raw_path"].decode("latin-1").removeprefix(self._prefix)
        if len(body) > HTTP_REQUEST_BYTES:
            what = f"{method} {path} with {len(body)} bytes answered with 413"
            self._trace.record("limit", connection_id="", what=what, **HTTP_REQUEST_SIZE.told())
            return Response.of_json(413, {"message": "Request Entity Too Large"})
        matched = self._match(method, path.removeprefix(self._stage)) if path.startswith(self._stage) else None
        if matched is None:
            self._trace.record("unrouted", method=method, path=path)
            return Response.of_json(404, {"message": "Not Found"})
        route, parameters = matched
        request = Request(
            method=method,
            path=unquote(path),
            query=scope["query_string"].decode("latin-1"),
            headers=decoded(scope["headers"]),
            body=body,
            source_ip=scope["client"][0] if scope["client"] else "",
            protocol=f"HTTP/{scope['http_version']}",
            route_key=_route_key(route),
            stage=self._api.stage,
            api_id=self._api.api_id,
            now=self._clock.time(),
            parameters=parameters,
        )
        return await self._integrate(route, request)

    async def _integrate(self, route: HttpRoute, request: Request) -> Response:
        payload = json.dumps(request.event(route.payload)).encode()
        invocation = asyncio.ensure_future(self._invoke(route.function, payload, route.qualifier))
        if not await self._clock.within(_SECONDS, invocation):
            what = f"{request.method} {request.path} given up after {_SECONDS:g} s, while {route.function} runs on"
            self._trace.record("limit", connection_id="", what=what, **HTTP_INTEGRATION_TIME.told())
            return Response.of_json(503, {"message": "Service Unavailable"})
        outcome = invocation.result()
        response, error = _response(outcome, route.payload)
        self._trace.record(
            "http",
            method=request.method,
            path=request.path,
            function=route.function,
            milliseconds=round(outcome.milliseconds, 1),
            cold=outcome.cold,
            error=error,
            status=response.status,
        )
        return response

    def _match(self, method: str, path: str) -> tuple[HttpRoute, Mapping[str, str]] | None:
        """Return the most specific route: fixed paths before variables, those before greedy ones and `$default`."""
        for pattern in self._patterns:
            match = pattern.expression.fullmatch(path or "/")
            if match and pattern.route.method in (method, "ANY"):
                return pattern.route, {name: unquote(value) for name, value in match.groupdict().items()}
        return None


@dataclass(frozen=True, slots=True)
class _Pattern:
    route: HttpRoute
    expression: re.Pattern[str]
    generality: tuple[int, int, bool]

    @classmethod
    def of(cls, route: HttpRoute) -> _Pattern:
        if route.path == DEFAULT_ROUTE:
            return cls(route, re.compile(r".*", re.DOTALL), (2, 0, True))
        expression = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(route.path))
        expression = re.sub(r"\\\{(\w+)\\\+\\\}", r"(?P<\1>.+)", expression)
        generality = (int("+}" in route.path), route.path.count("{"), route.method == "ANY")
        return cls(route, re.compile(expression, re.DOTALL), generality)


def _route_key(route: HttpRoute) -> str:
    return DEFAULT_ROUTE if route.path == DEFAULT_ROUTE else f"{route.method} {route.path}"


def _response(outcome: Outcome, version: str) -> tuple[Response, str | None]:
    """Return the response that a function's answer stands for, and what is wrong with it: then it is a 500."""
    if outcome.function_error:
        return _FAILED, outcome.function_error
    try:
        answer = Answer.of(outcome.payload, version)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        return _FAILED, f"the answer is none of payload format {version}: {error!r:.100}"
    return Response.of_pairs(answer.status, answer.headers, answer.body), None
