"""Events that HTTP APIs send to functions, in payload formats 1.0 and 2.0.

Fields are those of the developer guide's page "AWS Lambda proxy integrations for HTTP APIs". The path is decoded
twice (docs/aws.md section 9). A stage other than `$default` is the first part of the path
(powertools-lambda-python#621).
"""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from parley.account import ACCOUNT_ID
from parley.gateway.events import Event, Headers, all_values, decode_headers, last_values, new_request_id
from parley.gateway.http.router import RouteMatch
from parley.gateway.signature import SignedRequest, is_signed
from parley.template.model import HttpApi

_TEXT_TYPES = {"application/json", "application/javascript", "application/xml"}
_NO_IDENTITY = (
    *("accessKey", "accountId", "caller", "cognitoAmr", "cognitoAuthenticationProvider", "cognitoAuthenticationType"),
    *("cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "user", "userArn"),
)


_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


def event_path(sent: str) -> str | None:
    """Return the path in events for a path as sent, None if API Gateway refuses it (docs/aws.md section 9).

    The path is decoded, cut at a question mark, and decoded once more.
    """
    once = unquote(sent).partition("?")[0]
    return None if _BAD_ESCAPE.search(once) else unquote(once)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request whose route is known. `now` is in seconds since the epoch.

    `path` is the path in events: see `event_path`. It includes the stage if the stage is a part of it.
    """

    scope: Mapping[str, Any]
    body: bytes
    api: HttpApi
    match: RouteMatch
    path: str
    now: float
    request_id: str = field(default_factory=new_request_id)

    def event(self, payload: str) -> Event:
        """Return the event in a payload format, `1.0` or `2.0`."""
        return _event_in_format_1(self) if payload == "1.0" else _event_in_format_2(self)

    @property
    def query_string(self) -> str:
        """The query as sent."""
        return str(self.scope["query_string"].decode("latin-1"))

    @property
    def is_signed(self) -> bool:
        """True if the request has a signature. It may be wrong."""
        headers = decode_headers(self.scope["headers"])
        return is_signed(SignedRequest(self.scope["method"], "", self.query_string, headers))

    @property
    def source_ip(self) -> str:
        """The client's address."""
        return self.scope["client"][0] if self.scope["client"] else "127.0.0.1"

    def headers(self) -> Headers:
        """Return the request's headers and those that API Gateway adds, with names in lower case."""
        sent = [(name.lower(), value) for name, value in decode_headers(self.scope["headers"])]
        before = [value for name, value in sent if name == "x-forwarded-for"]
        own = {
            "x-amzn-trace-id": f"Root=1-{int(self.now):08x}-{secrets.token_hex(12)}",
            "x-forwarded-for": ", ".join([*before, self.source_ip]),
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        }
        return [pair for pair in sent if pair[0] not in own] + list(own.items())

    def query(self) -> list[tuple[str, str]]:
        """Return the query's decoded parameters in their order."""
        return parse_qsl(self.query_string, keep_blank_values=True)

    def time(self) -> str:
        """Return the time of the request in the format of Apache's logs."""
        return datetime.fromtimestamp(self.now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")

    def content(self) -> tuple[str | None, bool]:
        """Return the body as text, and True if that text is base64.

        Tried on AWS (ministack#766): only the types in `_TEXT_TYPES` and `text/…` stay text. Forms, and bodies without
        a type, become base64.
        """
        if not self.body:
            return None, False
        kind = dict(self.headers()).get("content-type", "").split(";")[0].strip().lower()
        if kind in _TEXT_TYPES or kind.startswith("text/"):
            with contextlib.suppress(UnicodeDecodeError):
                return self.body.decode(), False
        return base64.b64encode(self.body).decode(), True


def _event_in_format_2(request: HttpRequest) -> Event:
    pairs = request.headers()
    headers = {name: ",".join(values) for name, values in all_values(pairs).items() if name != "cookie"}
    cookies = [cookie for name, value in pairs if name == "cookie" for cookie in value.split("; ")]
    query = {name: ",".join(values) for name, values in all_values(request.query()).items()}
    body, is_encoded = request.content()
    context = _domain(request, headers) | {
        "http": {
            "method": request.scope["method"],
            "path": request.path,
            "protocol": _protocol(request),
            "sourceIp": request.source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request.request_id,
        "routeKey": request.match.route_key,
        "stage": request.api.stage,
        "time": request.time(),
        "timeEpoch": int(request.now * 1000),
    }
    event: Event = {
        "version": "2.0",
        "routeKey": request.match.route_key,
        "rawPath": request.path,
        "rawQueryString": request.query_string,
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": is_encoded,
    }
    if_present = {
        "cookies": cookies,
        "queryStringParameters": query,
        "pathParameters": dict(request.match.parameters),
        "body": body,
    }
    return event | {name: value for name, value in if_present.items() if value}


def _event_in_format_1(request: HttpRequest) -> Event:
    pairs, query = request.headers(), all_values(request.query())
    headers = {name: ",".join(values) for name, values in all_values(pairs).items()}
    body, is_encoded = request.content()
    context = _domain(request, headers) | {
        "authorizer": {"claims": None, "scopes": None},
        "extendedRequestId": request.request_id,
        "httpMethod": request.scope["method"],
        "identity": dict.fromkeys(_NO_IDENTITY)
        | {"sourceIp": request.source_ip, "userAgent": headers.get("user-agent", "")},
        "path": request.path,
        "protocol": _protocol(request),
        "requestId": request.request_id,
        "requestTime": request.time(),
        "requestTimeEpoch": int(request.now * 1000),
        "resourceId": request.match.route_key,
        "resourcePath": request.match.route.path,
        "stage": request.api.stage,
    }
    return {
        "version": "1.0",
        "resource": request.match.route.path,
        "path": request.path,
        "httpMethod": request.scope["method"],
        "headers": headers,
        "multiValueHeaders": all_values(pairs),
        "queryStringParameters": last_values(request.query()) or None,
        "multiValueQueryStringParameters": query or None,
        "requestContext": context,
        "pathParameters": dict(request.match.parameters) or None,
        "stageVariables": None,
        "body": body,
        "isBase64Encoded": is_encoded,
    }


def _domain(request: HttpRequest, headers: Mapping[str, str]) -> Event:
    host = headers.get("host", "")
    return {
        "accountId": ACCOUNT_ID,
        "apiId": request.api.api_id,
        "domainName": host,
        "domainPrefix": host.split(".")[0],
    }


def _protocol(request: HttpRequest) -> str:
    return f"HTTP/{request.scope['http_version']}"
