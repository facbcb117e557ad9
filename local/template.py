"""A SAM template as the emulator sees it: functions, routes, tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from local.errors import StartError
from local.intrinsics import Resolver, load


class TemplateError(StartError):
    """The template cannot be used."""


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
    content = _load(path)
    pseudo: dict[str, Any] = {
        "AWS::Region": region,
        "AWS::AccountId": account,
        "AWS::StackName": stack,
        "AWS::StackId": f"arn:aws:cloudformation:{region}:{account}:stack/{stack}/local",
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::NoValue": None,
        "AWS::NotificationARNs": [],
    }
    return _Reader(path, content, parameters or {}, pseudo).template()


def _load(path: Path) -> dict[str, Any]:
    try:
        content = load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TemplateError(
            f"Cannot read the template {path}: {error.strerror}. Name another one with --template."
        ) from None
    except UnicodeDecodeError:
        raise TemplateError(f"The template {path} is not UTF-8 text. Name another one with --template.") from None
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise TemplateError(f"The template {path} is not YAML{where}: {error.problem}. Correct it there.") from None
    if not isinstance(content, dict) or not isinstance(content.get("Resources"), dict) or not content["Resources"]:
        raise TemplateError(
            f"The template {path} has no Resources. Name a SAM or CloudFormation template with --template."
        )
    return content


class _Reader:
    """One template while it is read."""

    def __init__(
        self, path: Path, content: dict[str, Any], parameters: Mapping[str, str], pseudo: Mapping[str, Any]
    ) -> None:
        self._path = path
        self._resources: dict[str, dict[str, Any]] = {
            name: resource for name, resource in content["Resources"].items() if isinstance(resource, dict)
        }
        self._globals = content.get("Globals") or {}
        self._pseudo = pseudo
        values = {
            name: parameters.get(name, (declared or {}).get("Default", ""))
            for name, declared in (content.get("Parameters") or {}).items()
        }
        self._resolve = Resolver(
            names={**{name: name for name in self._resources}, **values, **pseudo},
            attribute=self._attribute,
            conditions=content.get("Conditions") or {},
            mappings=content.get("Mappings") or {},
        )
        self._resolve = replace(
            self._resolve, names={**self._resolve.names, **{name: self._physical(name) for name in self._resources}}
        )

    def template(self) -> Template:
        functions = [self._function(name) for name in self._of_type("AWS::Serverless::Function")]
        sockets = [self._websocket_api(name) for name in self._of_type("AWS::Serverless::WebSocketApi")]
        if not sockets:
            raise TemplateError(
                f"The template {self._path} has no WebSocket API. "
                "Add a resource of the type AWS::Serverless::WebSocketApi, or name another template with --template."
            )
        return Template(
            functions={function.name: function for function in functions},
            websocket_apis=tuple(sockets),
            http_apis=tuple(self._http_apis()),
            tables=tuple(self._table(name) for name in self._of_type("AWS::DynamoDB::Table")),
            notes=tuple(f"{self._path}: {note}" for note in self._resolve.notes),
        )

    def _of_type(self, kind: str) -> list[str]:
        return [
            name
            for name, resource in self._resources.items()
            if resource.get("Type") == kind
            and ("Condition" not in resource or self._resolve.condition(resource["Condition"]))
        ]

    def _properties(self, logical_id: str) -> dict[str, Any]:
        return self._resources[logical_id].get("Properties") or {}

    def _physical(self, logical_id: str) -> str:
        """Return what Ref gives for a resource: its name where the template gives one, else its logical id."""
        name_property = _NAMES.get(self._resources[logical_id].get("Type", ""))
        given = self._resolve(self._properties(logical_id).get(name_property)) if name_property else None
        return str(given) if given else logical_id

    def _attribute(self, logical_id: str, attribute: str) -> str | None:
        kind = self._resources.get(logical_id, {}).get("Type", "")
        name = self._resolve.names.get(logical_id)
        region, account = self._pseudo["AWS::Region"], self._pseudo["AWS::AccountId"]
        match kind, attribute:
            case (("AWS::Serverless::Function" | "AWS::Lambda::Function"), "Arn"):
                return f"arn:aws:lambda:{region}:{account}:function:{name}"
            case "AWS::SQS::Queue", "Arn":
                return f"arn:aws:sqs:{region}:{account}:{name}"
            case "AWS::SQS::Queue", "QueueName":
                return str(name)
            case "AWS::DynamoDB::Table", "Arn":
                return f"arn:aws:dynamodb:{region}:{account}:table/{name}"
            case _:
                return None

    def _function(self, logical_id: str) -> Function:
        own, shared = self._properties(logical_id), self._globals.get("Function") or {}
        variables = {**_variables(shared), **_variables(own)}
        properties = {**shared, **own}
        invoke = self._resolve(properties.get("EventInvokeConfig") or {})
        dead_letter = self._resolve((properties.get("DeadLetterQueue") or {}).get("TargetArn"))
        return Function(
            name=self._physical(logical_id),
            handler=self._required(properties, logical_id, "Handler"),
            code=self._code(properties, logical_id),
            timeout=float(self._resolve(properties.get("Timeout", 3))),
            memory=int(self._resolve(properties.get("MemorySize", 128))),
            environment={name: str(self._resolve(value)) for name, value in variables.items()},
            retries=int(invoke.get("MaximumRetryAttempts", 2)),
            max_event_age=int(invoke.get("MaximumEventAgeInSeconds", 21_600)),
            dead_letter=dead_letter.rpartition(":")[2] if dead_letter else None,
        )

    def _code(self, properties: Mapping[str, Any], logical_id: str) -> Path:
        uri = self._required(properties, logical_id, "CodeUri")
        folder = (self._path.parent / uri).resolve()
        if not folder.is_dir():
            raise TemplateError(
                f"The template {self._path} says that the code of {logical_id} is in {uri}, "
                f"but there is no folder {folder}. Correct its CodeUri."
            )
        return folder

    def _required(self, properties: Mapping[str, Any], logical_id: str, name: str) -> str:
        value = self._resolve(properties.get(name))
        if not isinstance(value, str) or not value:
            raise TemplateError(f"The function {logical_id} in {self._path} has no {name}. Give it one.")
        return value

    def _websocket_api(self, logical_id: str) -> WebSocketApi:
        properties = {**(self._globals.get("WebSocketApi") or {}), **self._properties(logical_id)}
        routes = {
            key: Route(key, self._target(route.get("FunctionArn"), f"route {key}"), self._seconds(route))
            for key, route in (properties.get("Routes") or {}).items()
        }
        return WebSocketApi(
            logical_id=logical_id,
            stage=str(self._resolve(properties.get("StageName")) or "default"),
            route_selection_expression=str(self._resolve(properties.get("RouteSelectionExpression", ""))),
            routes=routes,
        )

    def _seconds(self, route: Mapping[str, Any]) -> float:
        return float(self._resolve(route.get("IntegrationTimeout", 29_000))) / 1000

    def _target(self, arn: Any, where: str) -> str:
        """Return the name of the function that an ARN is of."""
        name = str(self._resolve(arn)).rpartition(":")[2]
        if name not in {self._resolve.names[each] for each in self._of_type("AWS::Serverless::Function")}:
            raise TemplateError(f"The {where} in {self._path} leads to no function. Correct its FunctionArn.")
        return name

    def _http_apis(self) -> Iterator[HttpApi]:
        routes: dict[str, list[HttpRoute]] = {name: [] for name in self._of_type("AWS::Serverless::HttpApi")}
        for logical_id in self._of_type("AWS::Serverless::Function"):
            for event in (self._properties(logical_id).get("Events") or {}).values():
                if event.get("Type") == "HttpApi":
                    properties = self._resolve(event.get("Properties") or {})
                    api = properties.get("ApiId") or "ServerlessHttpApi"
                    routes.setdefault(api, []).append(
                        HttpRoute(
                            method=str(properties.get("Method", "ANY")).upper(),
                            path=properties.get("Path", "$default"),
                            function=self._physical(logical_id),
                        )
                    )
        for name, found in routes.items():
            stage = self._resolve(self._resources.get(name, {}).get("Properties", {}).get("StageName"))
            yield HttpApi(name, str(stage or "$default"), tuple(found))

    def _table(self, logical_id: str) -> Table:
        properties = self._resolve(self._properties(logical_id))
        definition = {name: properties[name] for name in _TABLE_PROPERTIES if properties.get(name)}
        name = self._physical(logical_id)
        ttl = properties.get("TimeToLiveSpecification") or {}
        return Table(name, {**definition, "TableName": name}, ttl.get("AttributeName") if ttl.get("Enabled") else None)


_NAMES = {
    "AWS::Serverless::Function": "FunctionName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::SQS::Queue": "QueueName",
}
_TABLE_PROPERTIES = (
    *("AttributeDefinitions", "KeySchema", "BillingMode", "ProvisionedThroughput"),
    *("GlobalSecondaryIndexes", "LocalSecondaryIndexes"),
)


def _variables(properties: Mapping[str, Any]) -> dict[str, Any]:
    return (properties.get("Environment") or {}).get("Variables") or {}
