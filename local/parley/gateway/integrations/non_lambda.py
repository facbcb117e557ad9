"""MOCK and HTTP integrations of WebSocket APIs: their requests and responses.

Documented (developer guide, "Integrations for WebSocket APIs" and "Data transformations"): HTTP_PROXY passes the
message and its answer on unchanged. HTTP and MOCK use request templates and integration responses. The key of
`$integration.response.statuscode` selects a response; it is `$default` or a pattern in slashes. Request parameters set
headers, query and path. Seen in public: `$connect` has no body (localstack#5851), and only a request parameter brings
the connection's id to the endpoint (re:Post knowledge centre). Guesses are marked in the code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from parley.expressions.selection import SelectionExpression, json_document
from parley.gateway.integrations import http_client
from parley.gateway.integrations.http_client import RequestFailed, RequestTimedOut
from parley.gateway.integrations.mapping import MappingError, render
from parley.gateway.integrations.request import http_request
from parley.template.model import HttpIntegration, IntegrationResponse, MockIntegration, ServiceIntegration, Templates

DEFAULT_KEY = "$default"
_MOCK_STATUS = re.compile(r"""^\s*\{.*?["']?\bstatusCode["']?\s*:\s*["']?(\d{3})\b""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class IntegrationRequest:
    """Request to an integration. `headers` and `query` are those of the handshake, on `$connect` only."""

    body: str
    context: Mapping[str, Any]
    stage_variables: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, event: Mapping[str, Any], stage_variables: Mapping[str, str]) -> IntegrationRequest:
        """Return the request for an event that functions would get."""
        is_connect = event["requestContext"]["eventType"] == "CONNECT"
        return cls(
            body=event.get("body") or "",
            context=event["requestContext"],
            stage_variables=stage_variables,
            headers=event.get("headers", {}) if is_connect else {},
            query=event.get("queryStringParameters", {}) if is_connect else {},
        )

    @property
    def connection_id(self) -> str:
        """Id of the connection that sent the message."""
        return str(self.context["connectionId"])

    def document(self) -> dict[str, Any]:
        """Return the document in which expressions and request parameters look up their variables."""
        request = {"body": _parse_json(self.body), "header": self.headers, "querystring": self.query}
        return {
            "request": request,
            "route": {"request": request},
            "context": self.context,
            "stageVariables": self.stage_variables,
        }


@dataclass(frozen=True, slots=True)
class NonLambdaResponse:
    """Response of an integration. `body` is for the client if the route has a route response; it may be None."""

    status: int
    body: str | None = None


@dataclass(frozen=True, slots=True)
class NonLambdaFailure:
    """Failure of an integration. The client gets "Internal server error", or "Endpoint request timed out"."""

    why: str
    timed_out: bool = False


async def call_non_lambda(
    integration: MockIntegration | HttpIntegration | ServiceIntegration, request: IntegrationRequest
) -> NonLambdaResponse | NonLambdaFailure:
    """Call a MOCK or HTTP integration. Never raises, whatever the endpoint or the mapping templates do.

    A caller may cancel the call; the connection to the endpoint then closes at once.
    """
    try:
        if isinstance(integration, MockIntegration):
            return _call_mock(integration, request)
        if isinstance(integration, ServiceIntegration):  # the emulator replaces those that it can call
            return NonLambdaFailure(f"there is no endpoint for {integration.service}")
        return await _call_http(integration, request)
    except MappingError as error:
        return NonLambdaFailure(f"a mapping template failed: {error}")
    except RequestFailed as error:
        return NonLambdaFailure(str(error), timed_out=isinstance(error, RequestTimedOut))
    except (ValueError, RecursionError) as error:
        return NonLambdaFailure(f"the integration's settings are invalid: {str(error) or type(error).__name__}")


def _call_mock(integration: MockIntegration, request: IntegrationRequest) -> NonLambdaResponse:
    """Answer with the status that the request template names.

    Guesses: without any template the status is 200. A template that names no status fails, as in REST APIs. The
    template may be JSON with or without quotes around its keys, as REST APIs accept it.
    """
    if not integration.templates.by_key:
        return _map_response(integration.responses, request, 200, "")
    mapped = _map_body(integration.templates, request.body, request, request.document())
    match = _MOCK_STATUS.match(mapped)
    if match is None:
        raise MappingError(
            f'a MOCK integration needs a request template that makes {{"statusCode": 200}}, not {mapped}'
        )
    return _map_response(integration.responses, request, int(match[1]), "")


async def _call_http(integration: HttpIntegration, request: IntegrationRequest) -> NonLambdaResponse:
    document = request.document()
    proxy = integration.proxy
    body = request.body if proxy else _map_body(integration.templates, request.body, request, document)
    reply = await http_client.send(http_request(integration, body, document))
    text = reply.body.decode(errors="replace")
    if proxy:
        return NonLambdaResponse(reply.status, text)
    return _map_response(integration.responses, request, reply.status, text)


def _map_response(
    responses: tuple[IntegrationResponse, ...], request: IntegrationRequest, status: int, body: str
) -> NonLambdaResponse:
    """Return the response after the integration response of this status; without one the body stays (a guess)."""
    response = _select_response(responses, status)
    if response is None:
        return NonLambdaResponse(status, body or None)
    answer = {"statuscode": status, "body": _parse_json(body)}
    document = request.document() | {"integration": {"response": answer}}
    return NonLambdaResponse(status, _map_body(response.templates, body, request, document) or None)


def _select_response(responses: tuple[IntegrationResponse, ...], status: int) -> IntegrationResponse | None:
    for response in responses:
        key = response.key
        if key == str(status) or (key[:1] == key[-1:] == "/" and _matches(key[1:-1], str(status))):
            return response
    return next((response for response in responses if response.key == DEFAULT_KEY), None)


def _matches(pattern: str, status: str) -> bool:
    try:
        return re.fullmatch(pattern, status) is not None
    except re.error:
        return False


def _map_body(templates: Templates, body: str, request: IntegrationRequest, document: Mapping[str, Any]) -> str:
    """Return what the selected template makes of a body; the body itself if there is no template (WHEN_NO_MATCH).

    A key without a template leads to the template of `$default`, then of `application/json` (a guess: in CDK's
    documentation the only template is there).
    """
    key = SelectionExpression(templates.selection).evaluate(document)
    for each in (key, DEFAULT_KEY, "application/json"):
        if each in templates.by_key:
            return render(templates.by_key[each], body, request.context, request.stage_variables)
    return body


def _parse_json(body: str) -> Any:
    try:
        return json_document(body)
    except ValueError:
        return None
