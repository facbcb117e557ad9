"""What a template describes: functions, APIs, tables, queues, parameters. Values only; see `parley.template.read`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LATEST = "$LATEST"
"""The qualifier of a function that is invoked without one."""


@dataclass(frozen=True, slots=True)
class InvokeConfig:
    """How asynchronous invocations of a function are treated. `max_event_age` is in seconds, destinations are ARNs."""

    retries: int = 2
    max_event_age: int = 21_600
    on_success: str | None = None
    on_failure: str | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function. `timeout` is in seconds, `memory` in MB, `dead_letter` the ARN of a queue.

    `aliases` give the version that each alias names. `invoke_configs` are by qualifier: an alias, or `LATEST`.
    `layers` are folders that AWS would unpack into /opt.
    """

    name: str
    handler: str
    code: Path
    timeout: float
    memory: int
    environment: Mapping[str, str]
    dead_letter: str | None = None
    reserved_concurrency: int | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    invoke_configs: Mapping[str, InvokeConfig] = field(default_factory=dict)
    layers: tuple[Path, ...] = ()

    def invoke_config(self, qualifier: str = LATEST) -> InvokeConfig:
        """Return how asynchronous invocations with this qualifier are treated. Another qualifier's does not count."""
        return self.invoke_configs.get(qualifier, InvokeConfig())


@dataclass(frozen=True, slots=True)
class Templates:
    """Mapping templates (VTL) of a non-proxy integration, by their keys; `selection` is the expression for the key."""

    by_key: Mapping[str, str] = field(default_factory=dict)
    selection: str = ""


@dataclass(frozen=True, slots=True)
class IntegrationResponse:
    """A response of a non-proxy integration: `key` is `$default` or a pattern of statuses, as `/4../`."""

    key: str
    templates: Templates


@dataclass(frozen=True, slots=True)
class LambdaIntegration:
    """A function, invoked with the event. `timeout` is in seconds."""

    function: str
    qualifier: str = LATEST
    timeout: float = 29.0


@dataclass(frozen=True, slots=True)
class HttpIntegration:
    """A URL that is sent the message. `timeout` is in seconds. `templates` are those of the request (not for proxies).

    `stage` variables and request parameters in the URL are not resolved here. `parameters` are the RequestParameters,
    as `integration.request.header.Id` for `context.connectionId`.
    """

    method: str
    url: str
    timeout: float = 29.0
    proxy: bool = True
    templates: Templates = field(default_factory=Templates)
    responses: tuple[IntegrationResponse, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MockIntegration:
    """No backend: the request's template names a status, by which one of the responses is chosen."""

    templates: Templates = field(default_factory=Templates)
    responses: tuple[IntegrationResponse, ...] = ()
    timeout: float = 29.0


Integration = LambdaIntegration | HttpIntegration | MockIntegration


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A Lambda REQUEST authorizer. `identity_sources` as `route.request.header.Auth`."""

    name: str
    function: str
    qualifier: str = LATEST
    identity_sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Throttle:
    """A token bucket: `rate` messages a second, `burst` at once."""

    rate: float
    burst: int


@dataclass(frozen=True, slots=True)
class Route:
    """A route of a WebSocket API. `responds` tells that it has a route response: what its integration returns is sent.

    `authorizer` and `iam` occur on `$connect` only.
    """

    key: str
    integration: Integration
    responds: bool = False
    authorizer: Authorizer | None = None
    iam: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage. `throttle` is every route's own unless `route_throttles` has another for its key."""

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    throttle: Throttle | None = None
    route_throttles: Mapping[str, Throttle] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WebSocketApi:
    """A WebSocket API. `api_id` is 10 characters, the same each time for the same API."""

    logical_id: str
    api_id: str
    stages: tuple[Stage, ...]
    route_selection_expression: str
    routes: Mapping[str, Route]


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """A route of an HTTP API and its function. The path of the catch-all route is `$default`.

    `payload` is the version of the event's format: `1.0` or `2.0`.
    """

    method: str
    path: str
    function: str
    qualifier: str = LATEST
    payload: str = "2.0"


@dataclass(frozen=True, slots=True)
class HttpApi:
    """An HTTP API with its one stage."""

    logical_id: str
    api_id: str
    stage: str
    routes: tuple[HttpRoute, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A DynamoDB table: the arguments of CreateTable, and the attribute that holds the expiry."""

    name: str
    definition: Mapping[str, Any]
    ttl_attribute: str | None


@dataclass(frozen=True, slots=True)
class Queue:
    """An SQS queue: its name and the attributes of CreateQueue."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventSource:
    """A queue, by name, whose messages invoke a function. With `reports_failures` it says which it has not handled."""

    queue: str
    function: str
    qualifier: str = LATEST
    batch_size: int = 10
    reports_failures: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of SSM's Parameter Store: the arguments of PutParameter that matter."""

    name: str
    value: str
    type: str = "String"


@dataclass(frozen=True, slots=True)
class Template:
    """What a template describes. `notes` say what in it was not understood, where, and what follows from that."""

    functions: Mapping[str, Function]
    websocket_apis: tuple[WebSocketApi, ...]
    http_apis: tuple[HttpApi, ...]
    tables: tuple[Table, ...]
    queues: tuple[Queue, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    notes: tuple[str, ...] = ()
    event_sources: tuple[EventSource, ...] = ()
