"""The HTTP API in this process: requests as Lambda's events, answers as a client sees them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from parley.dev_tokens import token
from parley.gateway.http.event import event_path

from handlers import api
from tests.support.lambda_context import LambdaContext
from tests.support.wiring import wiring

SECRET = "a secret of at least thirty-two bytes"


@dataclass(frozen=True)
class HttpResponse:
    """The response that an HTTP client gets."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """The code of the problem document that this is."""
        assert self.headers["content-type"] == "application/problem+json", self
        assert self.json["status"] == self.status
        return str(self.json["code"])


def event(method: str, path: str, query: str, headers: dict[str, str], body: str | None) -> dict[str, Any]:
    """Return the event of a request, in payload format 2.0."""
    sent = event_path(path)
    assert sent is not None, "API Gateway refuses this path"
    about = {"method": method, "path": sent, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": sent,
        "rawQueryString": query,
        "headers": {"host": "abc.execute-api.us-east-1.amazonaws.com", **headers},
        "requestContext": {"http": about, "requestId": "BFaX1gqKIAMEVTA=", "stage": "$default"},
        "isBase64Encoded": False,
    } | ({} if body is None else {"body": body})


def request(
    method: str,
    path: str,
    user: str | None = None,
    body: Any = None,
    headers: dict[str, str] | None = None,
    **query: Any,
) -> HttpResponse:
    """Send a request. `body` is a JSON value, or the text of one."""
    given = {"authorization": f"Bearer {_token(user)}"} if user else {}
    if body is not None:
        given["content-type"] = "application/json"
        body = body if isinstance(body, str) else json.dumps(body)
    answer = api.handler(event(method, path, urlencode(query), given | (headers or {}), body), LambdaContext())  # type: ignore[arg-type]
    assert answer["isBase64Encoded"] is False
    return HttpResponse(answer["statusCode"], answer["headers"], answer["body"])


_TOKENS: dict[str, str] = {}


def _token(user: str) -> str:
    return _TOKENS.setdefault(user, token(user, SECRET))


class Invocations:
    """Keeps what other functions are asked to do: pairs of a name and a payload."""

    def __init__(self) -> None:
        self.invoked: list[tuple[str, dict[str, Any]]] = []

    def invoke(self, name: str, payload: dict[str, Any]) -> None:
        self.invoked.append((name, json.loads(json.dumps(payload))))

    def of(self, name: str) -> list[dict[str, Any]]:
        return [payload for invoked, payload in self.invoked if invoked == name]


@contextmanager
def services(**parts: Any) -> Iterator[None]:
    """Give the API fakes of some parts for a while, and an event loop, which the main thread of a function has."""
    asyncio.set_event_loop(loop := asyncio.new_event_loop())
    before = api.app.state.services
    api.app.state.services = api.services(wiring(**{"authenticator": api.wired.authenticator, **parts}))
    try:
        yield
    finally:
        api.app.state.services = before
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
