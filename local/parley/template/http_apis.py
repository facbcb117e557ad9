"""HTTP APIs in templates: SAM events and resources, or CloudFormation's own resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from parley.template.document import Document, Properties
from parley.template.event_sources import EMULATED_EVENTS
from parley.template.functions import SAM as SAM_FUNCTION
from parley.template.integrations import IntegrationReader
from parley.template.model import HttpApi, HttpRoute, LambdaIntegration
from parley.template.references import api_id
from parley.template.rest_apis import function_urls, note_definition, rest_apis

IMPLICIT_API = "ServerlessHttpApi"


def http_apis(document: Document, functions: Mapping[str, object]) -> Iterator[HttpApi]:
    """Return the template's HTTP APIs, its REST APIs and its function URLs, in this order."""
    yield from _http_apis(document, functions)
    yield from rest_apis(document, functions)
    yield from function_urls(document, functions)


def _http_apis(document: Document, functions: Mapping[str, object]) -> Iterator[HttpApi]:
    """Return the template's HTTP APIs.

    A route without an emulated function keeps its place, so that its requests reach no other route. It always fails.
    """
    for logical_id in document.of_type("AWS::Serverless::HttpApi", "AWS::ApiGatewayV2::Api"):
        note_definition(document.properties(logical_id))
    declared = document.of_type("AWS::Serverless::HttpApi")
    routes: dict[str, list[HttpRoute]] = {api_id(name): [] for name in declared}
    for logical_id in document.of_type(SAM_FUNCTION):
        for api, route in _events(document, logical_id):
            unavailable = "" if route.function in functions else f"{route.function} is not emulated"
            routes.setdefault(api, []).append(replace(route, unavailable=unavailable))
    names = {api_id(name): name for name in (*declared, IMPLICIT_API)}
    for identifier, found in routes.items():
        name = names.get(identifier, identifier)
        stage = document.properties(name).text("StageName", "$default")
        yield HttpApi(name, identifier, stage, tuple(found))
    for logical_id in document.of_type("AWS::ApiGatewayV2::Api"):
        if document.properties(logical_id).text("ProtocolType") == "HTTP":
            yield _cloudformation_api(document, logical_id, functions)


def _events(document: Document, logical_id: str) -> Iterator[tuple[str, HttpRoute]]:
    events = document.properties(logical_id).part("Events")
    for event in map(events.part, events):
        kind = event.text("Type")
        if kind == "HttpApi":
            yield _event_route(event.part("Properties"), document.name(logical_id))
        elif kind not in EMULATED_EVENTS:
            event.ignored(f"`{event.label}`: events of type {kind or '(none)'} are not emulated; ignored.")


def _event_route(event: Properties, function: str) -> tuple[str, HttpRoute]:
    method, path = event.text("Method", "ANY").upper(), event.text("Path", "$default")
    payload = event.text("PayloadFormatVersion", "2.0")
    route = HttpRoute("ANY" if method == "X-AMAZON-APIGATEWAY-ANY-METHOD" else method, path, function, payload=payload)
    return event.text("ApiId", api_id(IMPLICIT_API)), route


def _cloudformation_api(document: Document, logical_id: str, functions: Mapping[str, object]) -> HttpApi:
    identifier = api_id(logical_id)
    integrations = IntegrationReader(document, {})
    routes = []
    for properties in map(document.properties, document.of_type("AWS::ApiGatewayV2::Route")):
        if properties.text("ApiId") != identifier:
            continue
        target = properties.text("Target").removeprefix("integrations/")
        integration = integrations.of(target)
        key = properties.text("RouteKey")
        method, _, path = key.rpartition(" ")
        route = HttpRoute(method or "ANY", path, "")
        if isinstance(integration, LambdaIntegration) and integration.function in functions:
            payload = document.properties(target).text("PayloadFormatVersion", "1.0")
            routes.append(
                replace(route, function=integration.function, qualifier=integration.qualifier, payload=payload)
            )
        else:
            why = f"the route `{key}` leads to no emulated function"
            properties.ignored(f"`{logical_id}`: {why}; its requests are answered with 500.")
            routes.append(replace(route, unavailable=why))
    stages = map(document.properties, document.of_type("AWS::ApiGatewayV2::Stage"))
    stage = next((each.text("StageName") for each in stages if each.text("ApiId") == identifier), "$default")
    return HttpApi(logical_id, identifier, stage, tuple(routes))
