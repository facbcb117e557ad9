"""An HTTP API: requests to events in payload format 2.0, and functions' answers to responses."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.asgi import Receive, Response, Scope, Send, read_body
from local.functions.invoke import Functions
from local.functions.outcome import Outcome
from local.gateway.events import http_event
from local.template.model import HttpApi, HttpRoute
from local.trace import Trace

DEFAULT_ROUTE = "$default"


class HttpGateway:
    """Serves one HTTP API of the template, as an ASGI application for `http` scopes."""

    def __init__(self, api: HttpApi, functions: Functions, trace: Trace) -> None:
        self._api = api
        self._functions = functions
        self._trace = trace
        self._patterns = [_Pattern.of(route) for route in api.routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = await read_body(receive)
        matched = self._match(scope["method"], scope["path"])
        if matched is None:
            self._trace.record("unrouted", method=scope["method"], path=scope["path"])
            return await Response.of_json(404, {"message": "Not Found"}).send(send)
        route, parameters = matched
        response = await self._integrate(route, parameters, scope, body)
        return await response.send(send)

    async def _integrate(self, route: HttpRoute, parameters: Mapping[str, str], scope: Scope, body: bytes) -> Response:
        event = http_event(
            scope,
            body,
            route_key=_route_key(route),
            stage=self._api.stage,
            api_id=self._api.api_id,
            parameters=parameters,
        )
        outcome = await self._functions.invoke(route.function, json.dumps(event).encode())
        response = _response(outcome)
        self._trace.record(
            "http",
            method=scope["method"],
            path=scope["path"],
            function=route.function,
            milliseconds=round(outcome.milliseconds, 1),
            cold=outcome.cold,
            error=outcome.function_error,
            status=response.status,
        )
        return response

    def _match(self, method: str, path: str) -> tuple[HttpRoute, Mapping[str, str]] | None:
        """Return the most specific route: fixed paths before variables, those before greedy ones and `$default`."""
        for pattern in sorted(self._patterns, key=lambda pattern: pattern.generality):
            match = pattern.expression.fullmatch(path)
            if match and pattern.route.method in (method, "ANY"):
                return pattern.route, match.groupdict()
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


def _response(outcome: Outcome) -> Response:
    """Return the response that a function's answer stands for; 500 as in AWS for an error, or for no answer."""
    failed = Response.of_json(500, {"message": "Internal Server Error"})
    if outcome.function_error:
        return failed
    try:
        return _proxied(json.loads(outcome.payload))
    except (ValueError, TypeError, AttributeError):
        return failed


def _proxied(answer: Any) -> Response:
    """Read an answer in payload format 2.0. Raises ValueError, TypeError or AttributeError for garbage."""
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response.of_json(200, answer)
    body = answer.get("body") or ""
    content = base64.b64decode(body) if answer.get("isBase64Encoded") else str(body).encode()
    headers = {str(name): str(value) for name, value in (answer.get("headers") or {}).items()}
    return Response(int(answer["statusCode"]), headers, content)
