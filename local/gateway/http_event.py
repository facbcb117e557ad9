"""The events of HTTP APIs, in payload formats 1.0 and 2.0, and what functions answer to them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from local.functions.variables import ACCOUNT
from local.gateway.events import Event, Headers, grouped, joined, new_request_id


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a route. `path` holds the stage, unless that is `$default`; `now` is in seconds."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    source_ip: str
    protocol: str
    route_key: str
    stage: str
    api_id: str
    now: float
    parameters: Mapping[str, str] = field(default_factory=dict)

    def event(self, version: str) -> Event:
        """Return the event in this version of the format."""
        return self._first() if version == "1.0" else self._second()

    def _second(self) -> Event:
        cookies = [cookie for name, value in self.headers if name.lower() == "cookie" for cookie in value.split("; ")]
        headers = {name: ",".join(values) for name, values in _lower(self.headers).items() if name != "cookie"}
        query = parse_qsl(self.query, keep_blank_values=True)
        event: Event = {
            "version": "2.0",
            "routeKey": self.route_key,
            "rawPath": self.path,
            "rawQueryString": self.query,
            "headers": headers,
            "requestContext": {
                **self._api(),
                "http": {
                    "method": self.method,
                    "path": self.path,
                    "protocol": self.protocol,
                    "sourceIp": self.source_ip,
                    "userAgent": headers.get("user-agent", ""),
                },
                "routeKey": self.route_key,
                "time": self._time(),
                "timeEpoch": int(self.now * 1000),
            },
        }
        if cookies:
            event["cookies"] = cookies
        if query:
            event["queryStringParameters"] = {name: ",".join(values) for name, values in grouped(query).items()}
        if self.parameters:
            event["pathParameters"] = dict(self.parameters)
        return event | self._body()

    def _first(self) -> Event:
        query = parse_qsl(self.query, keep_blank_values=True)
        resource = self.route_key.partition(" ")[2] or self.route_key
        agent = next((value for name, value in self.headers if name.lower() == "user-agent"), "")
        context = {
            **self._api(),
            "path": self.path,
            "httpMethod": self.method,
            "identity": {"sourceIp": self.source_ip, "userAgent": agent},
            "protocol": self.protocol,
            "requestTime": self._time(),
            "requestTimeEpoch": int(self.now * 1000),
            "resourcePath": resource,
            "resourceId": self.route_key,
            "extendedRequestId": new_request_id(),
        }
        return {
            "version": "1.0",
            "resource": resource,
            "path": self.path,
            "httpMethod": self.method,
            "headers": joined(self.headers),
            "multiValueHeaders": grouped(self.headers),
            "queryStringParameters": joined(query) or None,
            "multiValueQueryStringParameters": grouped(query) or None,
            "requestContext": context,
            "pathParameters": dict(self.parameters) or None,
            "stageVariables": None,
            "body": None,
        } | self._body()

    def _api(self) -> Event:
        host = next((value for name, value in self.headers if name.lower() == "host"), "")
        return {
            "accountId": ACCOUNT,
            "apiId": self.api_id,
            "domainName": host,
            "domainPrefix": host.split(".")[0],
            "requestId": new_request_id(),
            "stage": self.stage,
        }

    def _time(self) -> str:
        return datetime.fromtimestamp(self.now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")

    def _body(self) -> Event:
        if not self.body:
            return {"isBase64Encoded": False}
        try:
            return {"body": self.body.decode(), "isBase64Encoded": False}
        except UnicodeDecodeError:
            return {"body": base64.b64encode(self.body).decode(), "isBase64Encoded": True}


def _lower(pairs: Headers) -> dict[str, list[str]]:
    return grouped([(name.lower(), value) for name, value in pairs])


@dataclass(frozen=True, slots=True)
class Answer:
    """What a function answered: the status, all headers, the body."""

    status: int
    headers: Headers
    body: bytes

    @classmethod
    def of(cls, payload: bytes, version: str) -> Answer:
        """Read what a function returned. Raises ValueError, TypeError, AttributeError or KeyError for garbage.

        In format 2.0 what has no `statusCode` is the body of a 200, as JSON.
        """
        answer = json.loads(payload)
        if version == "2.0" and not (isinstance(answer, dict) and "statusCode" in answer):
            return cls(200, [("content-type", "application/json")], json.dumps(answer).encode())
        status = int(answer["statusCode"])
        if not 100 <= status < 600:
            raise ValueError(f"statusCode is {status}")
        return cls(status, list(_headers(answer)), _content(answer))


def _headers(answer: Mapping[str, Any]) -> Headers:
    several = answer.get("multiValueHeaders") or {}
    single = {str(name).lower(): str(value) for name, value in (answer.get("headers") or {}).items()}
    many = [(str(name).lower(), str(value)) for name, values in several.items() for value in values]
    cookies = [("set-cookie", str(cookie)) for cookie in answer.get("cookies") or []]
    named = {name for name, _ in many}
    headers = [(name, value) for name, value in single.items() if name not in named] + many + cookies
    return headers if any(name == "content-type" for name, _ in headers) else [*headers, ("content-type", "text/plain")]


def _content(answer: Mapping[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if answer.get("isBase64Encoded"):
        return base64.b64decode(body, validate=True)
    return (body if isinstance(body, str) else json.dumps(body)).encode(errors="replace")
