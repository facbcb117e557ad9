"""Content of a template as plain values: functions, APIs, tables, queues, parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from parley.template.schedules import Schedule

PYTHON, NODE, PROVIDED = LANGUAGES = ("python", "nodejs", "provided")
"""The languages of functions that the emulator runs, as runtimes begin."""

LATEST = "$LATEST"
"""Qualifier of a function that is invoked without one."""


@dataclass(frozen=True, slots=True)
class InvokeConfig:
    """Settings of asynchronous invocations. `max_event_age` is in seconds; destinations are ARNs."""

    retries: int = 2
    max_event_age: int = 21_600
    on_success: str | None = None
    on_failure: str | None = None


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A program on this machine that runs functions: Node, or a Python. `version` has its major and minor number.

    `path` is empty if there is none. `packages` are the folders in which a Python finds modules besides its own,
    instead of those that are installed. `installed` is the folder of what the function's own list of packages names, or
    of the packages that Lambda's Node brings.
    """

    path: str = ""
    version: tuple[int, int] = (0, 0)
    packages: tuple[str, ...] = ()
    installed: str = ""


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function. `timeout` is in seconds, `memory` in MB, `dead_letter` is the ARN of a queue.

    `log_group` is the one that the template names; without it the function has one of its own. `log_format` is `Text`
    or `JSON`; `log_level` counts with JSON only. `runtime` is the identifier of the runtime, as `python3.13`; empty if
    the template names none.

    `aliases` give the version of each alias. `invoke_configs` are by qualifier: an alias, or `LATEST`. `layers` are
    what AWS would unpack into /opt, in this order. `code` and `layers` are folders; in a template that was only read,
    they may be zips. `sources` are the folders and zips that the two were made of. `parameters` name the template's
    parameter of each variable that has the value of one. `interpreter` runs the function here; without one it is the
    emulator's own Python, with all its packages. `logical_id` is the function's in the template.
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
    log_group: str = ""
    log_format: str = "Text"
    log_level: str = "INFO"
    runtime: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[Path, ...] = ()
    interpreter: Interpreter | None = None
    logical_id: str = ""

    @property
    def language(self) -> str:
        """The first part of the runtime's identifier: `python`, `nodejs`, or `provided` for an executable."""
        return re.match("[a-z]*", self.runtime)[0] or PYTHON  # type: ignore[index]  # it matches everything

    def invoke_config(self, qualifier: str = LATEST) -> InvokeConfig:
        """Return the settings for this qualifier. Those of another qualifier do not apply."""
        return self.invoke_configs.get(qualifier, InvokeConfig())


@dataclass(frozen=True, slots=True)
class Templates:
    """Mapping templates (VTL) of a non-proxy integration by key. `selection` is the expression that selects the key."""

    by_key: Mapping[str, str] = field(default_factory=dict)
    selection: str = ""


@dataclass(frozen=True, slots=True)
class IntegrationResponse:
    """Integration response of a non-proxy integration. `key` is `$default` or a pattern of statuses, as `/4../`."""

    key: str
    templates: Templates


@dataclass(frozen=True, slots=True)
class LambdaIntegration:
    """Integration with a function. `timeout` is in seconds."""

    function: str
    qualifier: str = LATEST
    timeout: float = 29.0


@dataclass(frozen=True, slots=True)
class HttpIntegration:
    """Integration with a URL. `timeout` is in seconds. `templates` are for requests that are not proxied.

    Stage variables and request parameters in the URL are not resolved yet. `parameters` are the RequestParameters, for
    example `integration.request.header.Id` for `context.connectionId`. `name` is for the log.
    """

    method: str
    url: str
    timeout: float = 29.0
    proxy: bool = True
    templates: Templates = field(default_factory=Templates)
    responses: tuple[IntegrationResponse, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True, slots=True)
class ServiceIntegration:
    """Integration with a service of AWS's, by an action (`PutItem`) or by a path (`000000000000/queue`)."""

    service: str
    action: str = ""
    path: str = ""
    timeout: float = 29.0
    templates: Templates = field(default_factory=Templates)
    responses: tuple[IntegrationResponse, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MockIntegration:
    """Integration without an endpoint: the request template names a status, which selects a response."""

    templates: Templates = field(default_factory=Templates)
    responses: tuple[IntegrationResponse, ...] = ()
    timeout: float = 29.0


@dataclass(frozen=True, slots=True)
class UnavailableIntegration:
    """Integration that the emulator cannot call. Each call fails; `why` is for the log."""

    why: str


Integration = LambdaIntegration | HttpIntegration | MockIntegration | ServiceIntegration | UnavailableIntegration


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A Lambda REQUEST authorizer. An identity source is, for example, `route.request.header.Auth`.

    One that cannot be asked refuses every handshake; `unavailable` tells why it cannot.
    """

    name: str
    function: str
    qualifier: str = LATEST
    identity_sources: tuple[str, ...] = ()
    unavailable: str = ""


@dataclass(frozen=True, slots=True)
class Throttle:
    """Throttling settings: `rate` messages a second, `burst` at once."""

    rate: float
    burst: int


@dataclass(frozen=True, slots=True)
class Route:
    """A route of a WebSocket API. With `responds` (a route response) the integration's result goes to the client.

    Only `$connect` can have `authorizer` and `iam`.
    """

    key: str
    integration: Integration
    responds: bool = False
    authorizer: Authorizer | None = None
    iam: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage. `throttle` applies to each route separately, unless `route_throttles` has settings for its key.

    `domains` are the custom domain names that lead to the stage, each with its mapping's key: `ws.example.com/chat`.
    """

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    throttle: Throttle | None = None
    route_throttles: Mapping[str, Throttle] = field(default_factory=dict)
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WebSocketApi:
    """A WebSocket API. `api_id` has 10 characters, always the same for the same API."""

    logical_id: str
    api_id: str
    stages: tuple[Stage, ...]
    route_selection_expression: str
    routes: Mapping[str, Route]


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """A route of an HTTP API, and its function. The path of the catch-all route is `$default`.

    `payload` is the payload format version: `1.0` or `2.0`; it counts for HTTP APIs only. A route whose function cannot
    be invoked fails; `unavailable` tells why it cannot.
    """

    method: str
    path: str
    function: str
    qualifier: str = LATEST
    payload: str = "2.0"
    unavailable: str = ""


@dataclass(frozen=True, slots=True)
class HttpApi:
    """An HTTP API with its one stage; by `kind` also a REST API, or a function URL.

    `binary_types` are the media types that a REST API takes for binary, `variables` those of its stage. With `iam`
    requests must be signed.
    """

    logical_id: str
    api_id: str
    stage: str
    routes: tuple[HttpRoute, ...]
    kind: Literal["http", "rest", "url"] = "http"
    binary_types: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    iam: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A DynamoDB table: the arguments of CreateTable, and the TTL attribute."""

    name: str
    definition: Mapping[str, Any]
    ttl_attribute: str | None


@dataclass(frozen=True, slots=True)
class Queue:
    """An SQS queue: its name, and the attributes of CreateQueue."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A queue or a function, by ARN, that gets the messages of a topic, by ARN.

    `raw` messages have no envelope of SNS's. `filters` are further attributes of the subscription, such as its
    FilterPolicy.
    """

    topic: str
    endpoint: str
    raw: bool = False
    protocol: Literal["sqs", "lambda"] = "sqs"
    filters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Topic:
    """An SNS topic: its name, and the attributes of CreateTopic."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notification:
    """Notification of an S3 bucket: the ARN of a function, queue or topic, the events, and the keys that it is for."""

    kind: Literal["CloudFunction", "Queue", "Topic"]
    arn: str
    events: tuple[str, ...]
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class CorsRule:
    """A rule for pages that use a bucket: their origins, and the methods and headers that they may use."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age: str = ""


@dataclass(frozen=True, slots=True)
class Bucket:
    """An S3 bucket. With `notifies_bus` its events are put on the default bus of EventBridge too.

    `cors` is None if the template says nothing of pages.
    """

    name: str
    notifications: tuple[Notification, ...] = ()
    notifies_bus: bool = False
    cors: tuple[CorsRule, ...] | None = None


@dataclass(frozen=True, slots=True)
class EventSource:
    """A queue, by name, whose messages invoke a function.

    With `reports_failures` the function reports which messages failed.
    """

    queue: str
    function: str
    qualifier: str = LATEST
    batch_size: int = 10
    reports_failures: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A target of a rule, by ARN, and what it gets: the event, or `input`, or what `path` selects of the event.

    With `template` it gets that text, with the values that `paths` select in the place of `<name>`.
    """

    arn: str
    input: str | None = None
    path: str = ""
    template: str = ""
    paths: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of EventBridge, or a schedule of its Scheduler (`is_scheduler`).

    It sends to its targets at the times of `schedule`, and each event of its bus that `pattern` matches. `names` are
    those by which it may be triggered: its own, its logical id, and the one of SAM's event.
    """

    name: str
    arn: str
    targets: tuple[Target, ...]
    schedule: Schedule | None = None
    expression: str = ""
    pattern: Mapping[str, Any] | None = None
    bus: str = "default"
    is_scheduler: bool = False
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamSource:
    """A table, by name, whose changes invoke a function.

    `retries` and `max_age` (seconds) are -1 for no limit; `on_failure` is the ARN of what gets the record of a batch
    that was given up. `bisects` tells that a failed batch is tried in two halves. With `filters` the function gets only
    the changes that one of these event patterns matches.
    """

    table: str
    function: str
    qualifier: str = LATEST
    batch_size: int = 100
    from_start: bool = False
    reports_failures: bool = False
    bisects: bool = False
    retries: int = -1
    max_age: int = -1
    on_failure: str = ""
    filters: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """An SSM parameter: the arguments of PutParameter that matter."""

    name: str
    value: str
    type: str = "String"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of Secrets Manager. `value` is empty if it gets none, and `key` if AWS's own key encrypts it."""

    name: str
    value: str = field(repr=False)
    key: str = ""


PolicyDocument = Mapping[str, Any]
"""An IAM policy document; its intrinsic functions are resolved."""


@dataclass(frozen=True, slots=True)
class Role:
    """The execution role of a function.

    `managed` are the ARNs of managed policies outside the template. `boundary` is the permissions boundary: a policy of
    the template, or the ARN of another one. `unknown` tells why the template does not show all that the role allows.
    """

    name: str
    policies: tuple[PolicyDocument, ...] = ()
    managed: tuple[str, ...] = ()
    boundary: PolicyDocument | str | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """Content of a template. `notes` tell what is not supported, where, and what follows from it.

    `constraints` are the template's own parameters, as it declares them. `roles` are by function. `deployed_names`
    has, for each resource whose name CloudFormation would generate, a name of that form; the emulator uses the logical
    id. `chat_page` tells if the emulator is to serve Parley's chat page: `Metadata: {Parley: {ChatPage: true}}`.
    """

    functions: Mapping[str, Function]
    websocket_apis: tuple[WebSocketApi, ...]
    http_apis: tuple[HttpApi, ...]
    tables: tuple[Table, ...]
    queues: tuple[Queue, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    secrets: tuple[Secret, ...] = ()
    notes: tuple[str, ...] = ()
    event_sources: tuple[EventSource, ...] = ()
    roles: Mapping[str, Role] = field(default_factory=dict)
    deployed_names: Mapping[str, str] = field(default_factory=dict)
    constraints: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    topics: tuple[Topic, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    rules: tuple[Rule, ...] = ()
    buses: tuple[str, ...] = ("default",)
    buckets: tuple[Bucket, ...] = ()
    streams: tuple[StreamSource, ...] = ()
    chat_page: bool = False
