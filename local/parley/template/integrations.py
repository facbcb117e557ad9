"""Integrations in templates, as CloudFormation's own resources."""

from __future__ import annotations

import re
from collections.abc import Mapping

from parley.template.arns import function_in
from parley.template.document import Document, Properties
from parley.template.model import (
    HttpIntegration,
    Integration,
    IntegrationResponse,
    LambdaIntegration,
    MockIntegration,
    ServiceIntegration,
    Templates,
)

_KIND = "AWS::ApiGatewayV2::Integration"
_SERVICES = ("dynamodb", "sqs", "sns")
_SERVICE_URI = re.compile(r"arn:[^:]*:apigateway:[^:]*:(?:[^.:]+\.)?(?!lambda:)([\w-]+):(action|path)/(.*)", re.DOTALL)
"""URI of an integration with a service, `arn:aws:apigateway:{region}:{service}:action/{action}` or `…:path/{path}`."""


class IntegrationReader:
    """Integrations of a template by logical id. `variables` are those of the stage."""

    def __init__(self, document: Document, variables: Mapping[str, str]) -> None:
        self._document = document
        self._variables = variables
        self._ids = set(document.of_type(_KIND))

    def of(self, logical_id: str) -> Integration | None:
        """Return an integration; None if it does not exist or, with a note, if its type is not emulated."""
        if logical_id not in self._ids:
            return None
        properties = self._document.properties(logical_id)
        kind = properties.text("IntegrationType")
        match kind:
            case "AWS_PROXY" | "AWS":
                return self._lambda(properties, kind)
            case "MOCK":
                responses = self._responses(logical_id)
                return MockIntegration(_templates(properties, "RequestTemplates"), responses, _timeout(properties))
            case "HTTP_PROXY" | "HTTP":
                return self._http(properties, kind, logical_id)
        properties.ignored(
            f"`{logical_id}`: integrations of type {kind or '(none)'} are not emulated; ignored.", "IntegrationType"
        )
        return None

    def _lambda(self, properties: Properties, kind: str) -> Integration | None:
        uri = properties.text("IntegrationUri")
        if match := _SERVICE_URI.fullmatch(uri):
            return self._service(properties, *match.groups())
        function = function_in(uri, self._variables)
        if not function.name:
            what = properties.text("IntegrationSubtype") or uri or "nothing"
            properties.ignored(f"`{properties.label}`: integrations with {what} are not emulated; ignored.")
            return None
        if kind == "AWS":
            properties.note(
                f"`{properties.label}`: non-proxy integrations are not emulated; the function gets a proxy's event."
            )
        return LambdaIntegration(function.name, function.qualifier, _timeout(properties))

    def _service(self, properties: Properties, service: str, form: str, rest: str) -> Integration | None:
        """Return an integration with a service of AWS's; None, with a note, if the service is not emulated."""
        if service not in _SERVICES or (service == "dynamodb" and form != "action"):
            properties.ignored(
                f"`{properties.label}`: integrations with the service {service} ({rest}) are not emulated; ignored."
            )
            return None
        return ServiceIntegration(
            service=service,
            action=rest if form == "action" else "",
            path=rest.strip("/") if form == "path" else "",
            timeout=_timeout(properties),
            templates=_templates(properties, "RequestTemplates"),
            responses=self._responses(properties.label),
            parameters=_texts(properties.part("RequestParameters")),
        )

    def _http(self, properties: Properties, kind: str, logical_id: str) -> Integration:
        return HttpIntegration(
            method=properties.text("IntegrationMethod", "POST"),
            url=properties.text("IntegrationUri"),
            timeout=_timeout(properties),
            proxy=kind == "HTTP_PROXY",
            templates=_templates(properties, "RequestTemplates"),
            responses=self._responses(logical_id),
            parameters=_texts(properties.part("RequestParameters")),
        )

    def _responses(self, logical_id: str) -> tuple[IntegrationResponse, ...]:
        resources = map(self._document.properties, self._document.of_type("AWS::ApiGatewayV2::IntegrationResponse"))
        return tuple(
            IntegrationResponse(each.text("IntegrationResponseKey", "$default"), _templates(each, "ResponseTemplates"))
            for each in resources
            if each.text("IntegrationId") == logical_id
        )


def _timeout(properties: Properties) -> float:
    return properties.number("TimeoutInMillis", 29_000) / 1000


def _templates(properties: Properties, name: str) -> Templates:
    return Templates(_texts(properties.part(name)), properties.text("TemplateSelectionExpression"))


def _texts(part: Properties) -> dict[str, str]:
    return {key: part.text(key) for key in part}
