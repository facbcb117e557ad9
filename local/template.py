"""A SAM template as the emulator sees it: functions, routes, tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.document import Deployment, Document, Properties
from local.document import TemplateError as TemplateError


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function. `timeout` and `max_event_age` are in seconds, `memory` in MB."""

    name: str
    handler: str
    code: Path
    timeout: float
    memory: int
    environment: Mapping[str, str]
    retries: int = 2
    max_event_age: int = 21_600
    dead_letter: str | None = None
    on_failure: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """A route of a WebSocket API and the function that is its integration. `timeout` is in seconds."""

    key: str
    function: str
    timeout: float = 29.0


@dataclass(frozen=True, slots=True)
class WebSocketApi:
    """A WebSocket API with its one stage."""

    logical_id: str
    stage: str
    route_selection_expression: str
    routes: Mapping[str, Route]


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """A route of an HTTP API. The path of the catch-all route is `$default`."""

    method: str
    path: str
    function: str


@dataclass(frozen=True, slots=True)
class HttpApi:
    """An HTTP API with its one stage."""

    logical_id: str
    stage: str
    routes: tuple[HttpRoute, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A DynamoDB table: the arguments of CreateTable, and the attribute that holds the expiry."""

    name: str
    definition: Mapping[str, Any]
    ttl_attribute: str | None


@dataclass(frozen=True, slots=True)
class Template:
    """What a template describes. `notes` say what in it was not understood, and what follows from that."""

    functions: Mapping[str, Function]
    websocket_apis: tuple[WebSocketApi, ...]
    http_apis: tuple[HttpApi, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()


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
        retries=int(invoke.number("MaximumRetryAttempts", 2)),
        max_event_age=int(invoke.number("MaximumEventAgeInSeconds", 21_600)),
        dead_letter=_last_of_arn(properties.part("DeadLetterQueue").text("TargetArn")) or None,
        on_failure=_last_of_arn(invoke.part("DestinationConfig").part("OnFailure").text("Destination")) or None,
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
        stage=properties.text("StageName", "default"),
        route_selection_expression=properties.text("RouteSelectionExpression"),
        routes={route.key: route for route in found if route},
    )


def _route(document: Document, key: str, properties: Properties) -> Route | None:
    function = _last_of_arn(properties.text("FunctionArn"))
    if function not in map(document.name, document.of_type("AWS::Serverless::Function")):
        document.note(f"{properties.where} leads to no function of the template, the route is left out")
        return None
    return Route(key, function, properties.number("IntegrationTimeout", 29_000) / 1000)


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
        yield HttpApi(name, document.properties(name).text("StageName", "$default"), tuple(found))


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
