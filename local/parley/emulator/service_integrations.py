"""Integrations with services of AWS's: they become requests to the emulator's own endpoints of these services.

The forms of the requests are those of CDK's integration tests for WebSocketAwsIntegration: DynamoDB by its action, with
a template that makes the JSON; SQS and SNS by a path or an action, with a template that makes a form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlencode

from parley.account import REGION
from parley.template.model import HttpIntegration, Integration, ServiceIntegration, WebSocketApi

_JSON, _FORM = "application/x-amz-json-1.0", "application/x-www-form-urlencoded"


def with_endpoints(apis: Sequence[WebSocketApi], endpoints: Mapping[str, str]) -> tuple[WebSocketApi, ...]:
    """Return the APIs with requests to these endpoints in the place of integrations with services."""
    return tuple(
        replace(
            api,
            routes={
                key: replace(route, integration=_with_endpoint(route.integration, endpoints))
                for key, route in api.routes.items()
            },
        )
        for api in apis
    )


def _with_endpoint(integration: Integration, endpoints: Mapping[str, str]) -> Integration:
    if not isinstance(integration, ServiceIntegration):
        return integration
    service = integration.service
    is_json = service == "dynamodb"
    headers = {
        "Content-Type": _JSON if is_json else _FORM,
        # Nobody checks this signature. It names the service in the trace.
        "Authorization": f"AWS4-HMAC-SHA256 Credential=emulator/20260101/{REGION}/{service}/aws4_request",
        **({"X-Amz-Target": f"DynamoDB_20120810.{integration.action}"} if is_json else {}),
    }
    own = {f"integration.request.header.{name}": f"'{value}'" for name, value in headers.items()}
    return HttpIntegration(
        method="POST",
        url=endpoints[service] + ("" if is_json else _form_query(integration)),
        timeout=integration.timeout,
        proxy=False,
        templates=integration.templates,
        responses=integration.responses,
        parameters={**own, **integration.parameters},
        name=f"{service}:{integration.action}".rstrip(":"),
    )


def _form_query(integration: ServiceIntegration) -> str:
    """Return the parameters that the URI of an integration adds to the form."""
    given = {"Action": integration.action}
    if integration.service == "sqs" and integration.path:
        given["QueueUrl"] = f"https://sqs.{REGION}.amazonaws.com/{integration.path}"
    query = urlencode({name: value for name, value in given.items() if value})
    return f"?{query}" if query else ""
