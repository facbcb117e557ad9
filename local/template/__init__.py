"""SAM and CloudFormation templates, read: `read` gives what one describes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from local.template.document import Deployment, Document, Properties
from local.template.document import TemplateError as TemplateError
from local.template.model import (
    LATEST,
    Function,
    HttpApi,
    HttpRoute,
    InvokeConfig,
    LambdaIntegration,
    Route,
    Stage,
    Table,
    Template,
    WebSocketApi,
)


def read(
    path: Path,
    parameters: Mapping[str, str] | None = None,
    *,
    region: str = "us-east-1",
    account: str = "000000000000",
    stack: str = "parley",
) -> Template:
    """Read a template. `parameters` give its parameters values other than their defaults.

    Raises `TemplateError` for a file that is no template, or one without a WebSocket API.
    """
    document = Document.read(path, parameters or {}, Deployment(region, account, stack))
    functions = [_function(document, name) for name in document.of_type("AWS::Serverless::Function")]
    sockets = [_websocket_api(document, name) for name in document.of_type("AWS::Serverless::WebSocketApi")]
    if not sockets:
        raise TemplateError(
            f"The template {path} has no WebSocket API. "
            "Add a resource of the type AWS::Serverless::WebSocketApi, or name another template with --template."
        )
    return Template(
        functions={function.name: function for function in functions},
        websocket_apis=tuple(sockets),
        http_apis=tuple(_http_apis(document)),
        tables=tuple(_table(document, name) for name in document.of_type("AWS::DynamoDB::Table")),
        notes=tuple(f"{path}: {note}" for note in document.notes),
    )


def _function(document: Document, logical_id: str) -> Function:
    properties = document.properties(logical_id)
    invoke = properties.part("EventInvokeConfig")
    variables = properties.part("Environment").part("Variables")
    return Function(
        name=document.name(logical_id),
        handler=_required(document, properties, "Handler"),
        code=_code(document, properties),
        timeout=properties.number("Timeout", 3),
        memory=int(properties.number("MemorySize", 128)),
        environment={name: variables.text(name) for name in variables},
        dead_letter=properties.part("DeadLetterQueue").text("TargetArn") or None,
        invoke_configs={LATEST: _invoke_config(invoke)},
    )


def _invoke_config(properties: Properties) -> InvokeConfig:
    destinations = properties.part("DestinationConfig")
    return InvokeConfig(
        retries=int(properties.number("MaximumRetryAttempts", 2)),
        max_event_age=int(properties.number("MaximumEventAgeInSeconds", 21_600)),
        on_success=destinations.part("OnSuccess").text("Destination") or None,
        on_failure=destinations.part("OnFailure").text("Destination") or None,
    )


def _code(document: Document, properties: Properties) -> Path:
    uri = _required(document, properties, "CodeUri")
    folder = (document.path.parent / uri).resolve()
    if not folder.is_dir():
        raise TemplateError(
            f"The template {document.path} says that the code of {properties.where} is in {uri}, "
            f"but there is no folder {folder}. Correct its CodeUri."
        )
    return folder


def _required(document: Document, properties: Properties, name: str) -> str:
    value = properties.get(name)
    if not isinstance(value, str) or not value:
        raise TemplateError(f"The function {properties.where} in {document.path} has no {name}. Give it one.")
    return value


def _websocket_api(document: Document, logical_id: str) -> WebSocketApi:
    properties = document.properties(logical_id)
    if properties.get("Auth"):
        document.note(f"Auth of {logical_id} is not applied, every handshake reaches $connect")
    routes = properties.part("Routes")
    found = (_route(document, key, routes.part(key)) for key in routes)
    return WebSocketApi(
        logical_id=logical_id,
        api_id=_api_id(logical_id),
        stages=(Stage(properties.text("StageName", "default")),),
        route_selection_expression=properties.text("RouteSelectionExpression"),
        routes={route.key: route for route in found if route},
    )


def _route(document: Document, key: str, properties: Properties) -> Route | None:
    function = _last_of_arn(properties.text("FunctionArn"))
    if function not in map(document.name, document.of_type("AWS::Serverless::Function")):
        document.note(f"{properties.where} leads to no function of the template, the route is left out")
        return None
    return Route(key, LambdaIntegration(function, timeout=properties.number("IntegrationTimeout", 29_000) / 1000))


def _http_apis(document: Document) -> Iterator[HttpApi]:
    routes: dict[str, list[HttpRoute]] = {name: [] for name in document.of_type("AWS::Serverless::HttpApi")}
    for logical_id in document.of_type("AWS::Serverless::Function"):
        events = document.properties(logical_id).part("Events")
        for event in map(events.part, events):
            if event.get("Type") == "HttpApi":
                api, route = _http_route(event.part("Properties"), document.name(logical_id))
                routes.setdefault(api, []).append(route)
            else:
                document.note(f"{event.where} is of the type {event.get('Type')}, which does not occur here")
    for name, found in routes.items():
        yield HttpApi(name, _api_id(name), document.properties(name).text("StageName", "$default"), tuple(found))


def _http_route(event: Properties, function: str) -> tuple[str, HttpRoute]:
    route = HttpRoute(event.text("Method", "ANY").upper(), event.text("Path", "$default"), function)
    return event.text("ApiId", "ServerlessHttpApi"), route


def _table(document: Document, logical_id: str) -> Table:
    properties = document.properties(logical_id)
    name = document.name(logical_id)
    given = {each: properties.get(each) for each in ("AttributeDefinitions", "KeySchema", "BillingMode")}
    indexes = {
        each: [_index(index) for index in properties.parts(each)]
        for each in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
    }
    definition = {"TableName": name, **given, **indexes, "ProvisionedThroughput": _throughput(properties)}
    ttl = properties.part("TimeToLiveSpecification")
    return Table(
        name,
        {argument: value for argument, value in definition.items() if value},
        ttl.text("AttributeName") if ttl.text("Enabled") == "true" else None,
    )


def _index(properties: Properties) -> dict[str, Any]:
    """Return an index as CreateTable takes it; CloudFormation has more to say about one."""
    given = {each: properties.get(each) for each in ("IndexName", "KeySchema", "Projection")}
    index = {**given, "ProvisionedThroughput": _throughput(properties)}
    return {name: value for name, value in index.items() if value}


def _throughput(properties: Properties) -> dict[str, int]:
    """Return the provisioned capacity as numbers, for a parameter's value is text."""
    units = properties.part("ProvisionedThroughput")
    return {name: int(units.number(name, 1)) for name in units if name in ("ReadCapacityUnits", "WriteCapacityUnits")}


def _last_of_arn(arn: str) -> str:
    return arn.rpartition(":")[2]


def _api_id(logical_id: str) -> str:
    """Return an id in API Gateway's form, the same for the same API of the template."""
    return hashlib.sha256(logical_id.encode()).hexdigest()[:10]
