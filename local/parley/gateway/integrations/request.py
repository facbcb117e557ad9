"""Requests of HTTP integrations: the URL with its variables; headers, query and path by request parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from parley.expressions.jsonpath import JsonPath
from parley.expressions.selection import text_of
from parley.gateway.integrations.http_client import EndpointRequest
from parley.template.model import HttpIntegration

_VARIABLE = re.compile(r"\$\{(stageVariables\.[^}]+)\}")
_PREFIX = "integration.request."
_SPARE_SECONDS = 1.0
_NOT_PASSED = {
    *("host", "content-length", "content-type", "connection", "upgrade", "transfer-encoding", "te", "keep-alive"),
    *("proxy-authorization", "proxy-connection", "accept-encoding", "expect", "user-agent"),
}


def http_request(integration: HttpIntegration, body: str, document: Mapping[str, Any]) -> EndpointRequest:
    """Return the request of an HTTP integration. Raises ValueError for a parameter that cannot be parsed.

    Guesses: on `$connect` a proxy integration passes the client's headers on, as in REST APIs, but not the query; the
    content type is JSON. The user agent is that of REST APIs.
    """
    mapped = {
        location: _mapped_values(integration, location, document) for location in ("header", "querystring", "path")
    }
    url = _VARIABLE.sub(lambda match: _source_value(match[1], document), integration.url)
    for name, value in mapped["path"].items():
        url = url.replace(f"{{{name}}}", quote(value, safe=""))
    if mapped["querystring"]:
        url += ("&" if "?" in url else "?") + urlencode(mapped["querystring"])
    return EndpointRequest(
        method=integration.method,
        url=url,
        headers=_headers(integration, body, document) | mapped["header"],
        body=body.encode(errors="replace") if body else None,
        timeout=integration.timeout + _SPARE_SECONDS,  # so that the gateway's own limit comes first
    )


def _headers(integration: HttpIntegration, body: str, document: Mapping[str, Any]) -> dict[str, str]:
    passed = document["request"]["header"] if integration.proxy else {}
    api_id = document["context"].get("apiId", "")
    own = {"User-Agent": f"AmazonAPIGateway_{api_id}", "x-amzn-apigateway-api-id": api_id}
    content = {"Content-Type": "application/json"} if body else {}
    return {name: value for name, value in passed.items() if name.lower() not in _NOT_PASSED} | own | content


def _mapped_values(integration: HttpIntegration, location: str, document: Mapping[str, Any]) -> dict[str, str]:
    prefix = f"{_PREFIX}{location}."
    return {
        name.removeprefix(prefix): _source_value(source, document)
        for name, source in integration.parameters.items()
        if name.startswith(prefix)
    }


def _source_value(source: str, document: Mapping[str, Any]) -> str:
    """Return the value of a parameter's source: `'static'`, `context.x`, `stageVariables.x`, `route.request.body.x`."""
    if len(source) > 1 and source[0] == source[-1] == "'":
        return source[1:-1]
    return text_of(JsonPath(f"$.{source}").find(document))
