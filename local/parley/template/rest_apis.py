"""REST APIs and function URLs in templates: SAM's events and resources, or CloudFormation's own resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from parley.template.arns import function_in
from parley.template.document import Document, Properties
from parley.template.functions import SAM as SAM_FUNCTION
from parley.template.model import LATEST, HttpApi, HttpRoute
from parley.template.references import ROOT_RESOURCE, api_id

_IMPLICIT_API, _IMPLICIT_STAGE = "ServerlessRestApi", "Prod"
"""The API of events that name none, as SAM makes it."""

_REST_API = "AWS::ApiGateway::RestApi"


def rest_apis(document: Document, functions: Mapping[str, object]) -> Iterator[HttpApi]:
    """Return the template's REST APIs with their proxy integrations.

    A route without an emulated function keeps its place, so that its requests reach no other route. It always fails.
    """
    declared = document.of_type("AWS::Serverless::Api")
    for logical_id in (*declared, *document.of_type(_REST_API)):
        note_definition(document.properties(logical_id))
    routes: dict[str, list[HttpRoute]] = {api_id(name): [] for name in declared}
    for logical_id in document.of_type(SAM_FUNCTION):
        for api, route in _events(document, logical_id):
            unavailable = "" if route.function in functions else f"{route.function} is not emulated"
            routes.setdefault(api, []).append(replace(route, unavailable=unavailable))
    names = {api_id(name): name for name in (*declared, _IMPLICIT_API, *document.of_type(_REST_API))}
    for identifier, found in routes.items():
        yield _sam_api(document, names.get(identifier, identifier), identifier, found)
    for logical_id in document.of_type(_REST_API):
        yield _cloudformation_api(document, logical_id, functions)


def note_definition(properties: Properties) -> None:
    """Add a note if an API has an OpenAPI definition."""
    for name in ("DefinitionBody", "DefinitionUri", "Body", "BodyS3Location"):
        if name in properties.raw:
            properties.note(f"`{properties.label}`: the OpenAPI definition is not read; its routes are ignored.", name)


def _events(document: Document, logical_id: str) -> Iterator[tuple[str, HttpRoute]]:
    properties = document.properties(logical_id)
    events, alias = properties.part("Events"), properties.text("AutoPublishAlias", LATEST)
    for event in map(events.part, events):
        if event.text("Type") == "Api":
            details = event.part("Properties")
            route = HttpRoute(
                _method(details.text("Method", "ANY")), details.text("Path", "/"), document.name(logical_id), alias
            )
            yield details.text("RestApiId", api_id(_IMPLICIT_API)), route


def _method(given: str) -> str:
    return "ANY" if given.upper() == "X-AMAZON-APIGATEWAY-ANY-METHOD" else given.upper()


def _sam_api(document: Document, name: str, identifier: str, routes: list[HttpRoute]) -> HttpApi:
    properties = document.properties(name)
    variables = properties.part("Variables")
    return HttpApi(
        name,
        identifier,
        properties.text("StageName", _IMPLICIT_STAGE),
        tuple(routes),
        "rest",
        # SAM lets `~1` stand for the slash.
        tuple(each.replace("~1", "/") for each in properties.texts("BinaryMediaTypes")),
        {each: variables.text(each) for each in variables},
    )


def _cloudformation_api(document: Document, logical_id: str, functions: Mapping[str, object]) -> HttpApi:
    identifier = api_id(logical_id)
    stage, variables = _stage(document, identifier)
    routes = [
        route
        for method in document.of_type("AWS::ApiGateway::Method")
        if document.properties(method).text("RestApiId") == identifier
        for route in _route(document, document.properties(method), functions)
    ]
    binary = tuple(document.properties(logical_id).texts("BinaryMediaTypes"))
    return HttpApi(logical_id, identifier, stage, tuple(routes), "rest", binary, variables)


def _stage(document: Document, identifier: str) -> tuple[str, dict[str, str]]:
    """Return the name and the variables of an API's first stage: of its own resource, or of the deployment's."""
    for logical_id in document.of_type("AWS::ApiGateway::Stage", "AWS::ApiGateway::Deployment"):
        properties = document.properties(logical_id)
        if properties.text("RestApiId") == identifier and properties.text("StageName"):
            variables = properties.part("Variables")
            return properties.text("StageName"), {each: variables.text(each) for each in variables}
    return _IMPLICIT_STAGE, {}


def _route(document: Document, method: Properties, functions: Mapping[str, object]) -> Iterator[HttpRoute]:
    verb, path = _method(method.text("HttpMethod", "ANY")), _path(document, method.text("ResourceId"))
    integration = method.part("Integration")
    uri = integration.text("Uri")
    kind, function = integration.text("Type"), function_in(uri if ":lambda:" in uri else "")
    route = HttpRoute(verb, path, function.name, function.qualifier)
    if kind == "AWS_PROXY" and function.name in functions:
        yield route
    elif kind != "MOCK" or verb != "OPTIONS":
        # The mocks of OPTIONS answer preflights, which the emulator answers itself.
        why = f"the method {verb} {path} leads to no emulated function"
        method.ignored(f"`{method.label}`: {why}; its requests are answered with 502.")
        yield replace(route, function="", unavailable=why)


def _path(document: Document, resource: str) -> str:
    """Return the path of a resource, made of its own part and those of its parents."""
    parts: list[str] = []
    while resource and resource != ROOT_RESOURCE and len(parts) < len(document.resource_types):
        properties = document.properties(resource)
        parts.append(properties.text("PathPart"))
        resource = properties.text("ParentId")
    return "/" + "/".join(reversed(parts))


def function_urls(document: Document, functions: Mapping[str, object]) -> Iterator[HttpApi]:
    """Return the function URLs. Each is an API of its own with one route for everything."""
    for logical_id in document.of_type(SAM_FUNCTION):
        properties = document.properties(logical_id)
        config, alias = properties.part("FunctionUrlConfig"), properties.text("AutoPublishAlias", LATEST)
        if config.raw and document.name(logical_id) in functions:
            yield _url(f"{logical_id}Url", config, document.name(logical_id), alias)
    for logical_id in document.of_type("AWS::Lambda::Url"):
        properties = document.properties(logical_id)
        function = function_in(properties.text("TargetFunctionArn"))
        if function.name in functions:
            qualifier = properties.text("Qualifier", function.qualifier)
            yield _url(logical_id, properties, function.name, qualifier)
        else:
            properties.ignored(f"`{logical_id}`: this function URL leads to no emulated function; ignored.")


def _url(logical_id: str, properties: Properties, function: str, qualifier: str) -> HttpApi:
    route = HttpRoute("ANY", "$default", function, qualifier)
    iam = properties.text("AuthType", "NONE") == "AWS_IAM"
    return HttpApi(logical_id, api_id(logical_id), "$default", (route,), "url", iam=iam)
