"""Events that WebSocket APIs send to functions (docs/aws.md section 1)."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

Event = dict[str, Any]
Headers = list[tuple[str, str]]

_HIDDEN_HEADERS = {"connection", "upgrade", "content-length"}


def new_request_id() -> str:
    """Return a new id in API Gateway's form: 15 characters and `=`.

    Connections, requests and messages have such ids.
    """
    return base64.urlsafe_b64encode(os.urandom(11)).decode()


def decode_headers(raw: list[tuple[bytes, bytes]]) -> Headers:
    """Return an ASGI scope's headers as text, in their order and spelling."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]


def last_values(pairs: Headers) -> dict[str, str]:
    """Return headers or query parameters by name. If a name occurs more than once, the last value counts.

    REST and WebSocket events have this rule.
    """
    return dict(pairs)


def all_values(pairs: Headers) -> dict[str, list[str]]:
    """Return all values of headers or query parameters by name."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


@dataclass(frozen=True, slots=True)
class Handshake:
    """The first request of a connection, with all that later events repeat of it.

    A flat record, as the events are flat. `connected_at` is in seconds since the epoch. `authorizer` is the context
    that the authorizer returned, None without an authorizer. `caller` is what `identity` has of the IAM caller, on
    connections with AWS_IAM. `path` is as sent: a signature covers it. `source_port` is the client's; no event has it.
    """

    connection_id: str
    connected_at: float
    api_id: str
    stage: str
    domain_name: str
    source_ip: str
    headers: Headers
    query: str
    stage_variables: Mapping[str, str] = field(default_factory=dict)
    authorizer: Mapping[str, str] | None = None
    caller: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    source_port: int = 0

    def without_request(self) -> Handshake:
        """Return a copy without headers and query; later events need the user agent only.

        This saves 2 MB for 1,000 idle connections.
        """
        agent = [pair for pair in self.headers if pair[0].lower() == "user-agent"]
        return replace(self, headers=agent, query="", path="")

    def parameters(self) -> list[tuple[str, str]]:
        """Return the query's parameters in their order."""
        return parse_qsl(self.query, keep_blank_values=True)

    def authorizer_event(self, method_arn: str, now: float) -> Event:
        """Return the event of a REQUEST authorizer. It has all headers, and every map even if it is empty."""
        shown = [pair for pair in self.headers if pair[0].lower() not in _HIDDEN_HEADERS]
        own = [("Connection", "upgrade"), ("content-length", "0"), ("Upgrade", "websocket")]
        headers = [*shown, *own, *self._forwarded()]
        query = self.parameters()
        return {
            "type": "REQUEST",
            "methodArn": method_arn,
            "headers": last_values(headers),
            "multiValueHeaders": all_values(headers),
            "queryStringParameters": last_values(query),
            "multiValueQueryStringParameters": all_values(query),
            "stageVariables": dict(self.stage_variables),
            "requestContext": self._context("$connect", "CONNECT", now),
        }

    def connect_event(self, now: float) -> Event:
        """Return the event of `$connect`."""
        headers = [pair for pair in self.headers if pair[0].lower() not in _HIDDEN_HEADERS] + self._forwarded()
        event: Event = {"headers": last_values(headers), "multiValueHeaders": all_values(headers)}
        query = self.parameters()
        if query:
            event |= {"queryStringParameters": last_values(query), "multiValueQueryStringParameters": all_values(query)}
        return self._event(event | {"requestContext": self._context("$connect", "CONNECT", now)})

    def message_event(self, route_key: str, body: str, request_id: str, now: float) -> Event:
        """Return the event of a message."""
        context = self._context(route_key, "MESSAGE", now, request_id) | {"messageId": new_request_id()}
        return self._event({"requestContext": context, "body": body})

    def disconnect_event(self, code: int, reason: str, now: float) -> Event:
        """Return the event of `$disconnect`."""
        headers = {"Host": self.domain_name, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
        context = self._context("$disconnect", "DISCONNECT", now) | {
            "disconnectStatusCode": code,
            "disconnectReason": reason,
        }
        return self._event(
            {
                "headers": headers,
                "multiValueHeaders": {name: [value] for name, value in headers.items()},
                "requestContext": context,
            }
        )

    def _event(self, event: Event) -> Event:
        variables = {"stageVariables": dict(self.stage_variables)} if self.stage_variables else {}
        return event | variables | {"isBase64Encoded": False}

    def _forwarded(self) -> Headers:
        return [
            ("X-Amzn-Trace-Id", f"Root=1-{int(self.connected_at):08x}-{secrets.token_hex(12)}"),
            ("X-Forwarded-For", self.source_ip),
            ("X-Forwarded-Port", "443"),
            ("X-Forwarded-Proto", "https"),
        ]

    def client(self) -> dict[str, str]:
        """Return the client's address and user agent."""
        agent = next((value for name, value in self.headers if name.lower() == "user-agent"), None)
        return {"sourceIp": self.source_ip} | ({"userAgent": agent} if agent else {})

    def _context(self, route_key: str, event_type: str, now: float, request_id: str | None = None) -> Event:
        request_id = request_id or new_request_id()
        authorizer = {"authorizer": dict(self.authorizer)} if self.authorizer is not None else {}
        return authorizer | {
            "routeKey": route_key,
            "eventType": event_type,
            "extendedRequestId": request_id,
            "requestTime": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "messageDirection": "IN",
            "stage": self.stage,
            "connectedAt": int(self.connected_at * 1000),
            "requestTimeEpoch": int(now * 1000),
            "identity": self.client() | dict(self.caller),
            "requestId": request_id,
            "domainName": self.domain_name,
            "connectionId": self.connection_id,
            "apiId": self.api_id,
        }
