"""A template as the emulator reads it, as text or as JSON: `parley template`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from parley.emulator.paths import path_of
from parley.template.model import (
    LATEST,
    Function,
    HttpIntegration,
    Integration,
    LambdaIntegration,
    MockIntegration,
    Route,
    ServiceIntegration,
    Template,
    UnavailableIntegration,
    WebSocketApi,
)
from parley.template.projects import template_of
from parley.template.reader import read


def read_template(given: Path | None, parameters: Mapping[str, str], imports: Mapping[str, str]) -> Template:
    """Read a template, or the one of a folder. Raises `TemplateError`."""
    return read(template_of(given), parameters, imports=imports)


def as_json(template: Template) -> str:
    """Return everything that was read, as JSON."""
    return json.dumps(asdict(template), indent=2, default=_plain, ensure_ascii=False)


def _plain(value: object) -> str:
    return str(value) if isinstance(value, Path) else repr(value)


def as_text(template: Template) -> str:
    """Return the APIs with their routes, the functions, the tables, queues and parameters, and the notes, as text."""
    lines = [
        *(*_websocket_apis(template), *_http_apis(template)),
        *(*_functions(template), *_events(template), *_storage(template)),
    ]
    if template.notes:
        lines += ["", "Not understood, or not emulated:", *(f"  {note}" for note in template.notes)]
    return "\n".join(lines).lstrip("\n")


def _websocket_apis(template: Template) -> Iterator[str]:
    for api in template.websocket_apis:
        paths = [path_of(template.websocket_apis, api, stage) for stage in api.stages]
        yield ""
        yield f"WebSocket API {api.logical_id} ({', '.join(paths)}), routes by {api.route_selection_expression}"
        for route in api.routes.values():
            yield f"  {route.key:<16} {_integration(route.integration)}{_conditions(route)}"
        yield from _throttles(api)


def _integration(integration: Integration) -> str:
    match integration:
        case LambdaIntegration(function, qualifier, timeout):
            return f"{_qualified(function, qualifier)}, {timeout:g} s"
        case ServiceIntegration(service, action, path, timeout):
            return f"{service}:{action or path}, {timeout:g} s"
        case HttpIntegration(method, url, timeout, proxy):
            return f"{method} {url}{'' if proxy else ' (not as a proxy)'}, {timeout:g} s"
        case UnavailableIntegration():
            return "cannot run here"
        case MockIntegration():
            return "mock"


def _conditions(route: Route) -> str:
    conditions = ", its answer is sent" if route.responds else ""
    if route.authorizer:
        sources = ", ".join(route.authorizer.identity_sources)
        asked = _qualified(route.authorizer.function, route.authorizer.qualifier)
        conditions += f", authorizer {asked}" + (f" by {sources}" if sources else "")
    return conditions + (", AWS_IAM" if route.iam else "")


def _throttles(api: WebSocketApi) -> Iterator[str]:
    for stage in api.stages:
        throttles = {"every route": stage.throttle, **stage.route_throttles}
        for name, throttle in throttles.items():
            if throttle:
                yield f"  stage {stage.name}: {name} {throttle.rate:g} a second, {throttle.burst} at once"


def _http_apis(template: Template) -> Iterator[str]:
    for api in template.http_apis:
        yield ""
        kind = {"http": "HTTP API", "rest": "REST API", "url": "Function URL"}[api.kind]
        yield f"{kind} {api.logical_id}, stage {api.stage}"
        for route in api.routes:
            function = _qualified(route.function, route.qualifier)
            payload = f", payload {route.payload}" if api.kind == "http" else ""
            yield f"  {route.method:<7} {route.path:<24} {function}{payload}"


def _functions(template: Template) -> Iterator[str]:
    if template.functions:
        yield ""
        yield "Functions"
    for function in template.functions.values():
        yield f"  {function.name:<24} {function.handler} in {function.code}"
        yield f"  {'':<24} {', '.join(_settings(function))}"


def _settings(function: Function) -> Iterator[str]:
    yield f"{function.timeout:g} s"
    yield f"{function.memory} MB"
    if function.reserved_concurrency is not None:
        yield f"{function.reserved_concurrency} at once"
    for alias, version in function.aliases.items():
        yield f"alias {alias} of version {version}"
    for qualifier, config in function.invoke_configs.items():
        yield f"asynchronously ({qualifier}): {config.retries} retries within {config.max_event_age} s"
        if config.on_failure:
            yield f"on failure {config.on_failure}"
    if function.dead_letter:
        yield f"dead letters to {function.dead_letter}"


def _events(template: Template) -> Iterator[str]:
    queues = [(f"queue {each.queue}", _qualified(each.function, each.qualifier)) for each in template.event_sources]
    streams = [(f"changes of {each.table}", _qualified(each.function, each.qualifier)) for each in template.streams]
    topics = [(f"topic {_last(each.topic)}", _last(each.endpoint)) for each in template.subscriptions]
    buckets = [
        (f"bucket {bucket.name} {' '.join(each.events)}", _last(each.arn))
        for bucket in template.buckets
        for each in bucket.notifications
    ]
    rules = [
        (f"{rule.names[1]} {rule.expression or 'by a pattern'}", ", ".join(_last(each.arn) for each in rule.targets))
        for rule in template.rules
    ]
    if found := [*queues, *streams, *topics, *buckets, *rules]:
        yield ""
        yield "Events"
        yield from (f"  {source:<40} {target}" for source, target in found)


def _last(arn: str) -> str:
    """Return the name in an ARN: of a function with its qualifier, of a queue or a topic."""
    return arn.rpartition(":function:")[2] if ":function:" in arn else arn.rpartition(":")[2]


def _storage(template: Template) -> Iterator[str]:
    for title, names in (
        ("Tables", [table.name for table in template.tables]),
        ("Buckets", [bucket.name for bucket in template.buckets]),
        ("Queues", [queue.name for queue in template.queues]),
        ("Parameters", [parameter.name for parameter in template.parameters]),
        ("Secrets", [secret.name for secret in template.secrets]),
    ):
        if names:
            yield ""
            yield f"{title}  {', '.join(names)}"


def _qualified(function: str, qualifier: str) -> str:
    return function if qualifier == LATEST else f"{function}:{qualifier}"
