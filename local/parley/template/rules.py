"""Rules of EventBridge and schedules of its Scheduler in templates: SAM's events, or CloudFormation's resources."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from parley.account import ACCOUNT_ID, REGION
from parley.template import event_patterns, schedules
from parley.template.arns import function_arn, function_in
from parley.template.document import Document, Properties
from parley.template.event_sources import SamEvent, sam_events
from parley.template.model import Rule, Target

_SAM_EVENTS = ("Schedule", "ScheduleV2", "EventBridgeRule", "CloudWatchEvent")
_RULE, _SCHEDULE, _BUS = "AWS::Events::Rule", "AWS::Scheduler::Schedule", "AWS::Events::EventBus"


def buses(document: Document) -> tuple[str, ...]:
    """Return the names of the event buses."""
    return ("default", *map(document.name, document.of_type(_BUS)))


def rules(document: Document, functions: Mapping[str, object]) -> Iterator[Rule]:
    """Return the enabled rules and schedules. One that AWS would refuse, or a target that is not here, gets a note."""
    for event in sam_events(document, *_SAM_EVENTS):
        if event.function in functions:
            target = _target(event.properties, function_arn(event.function, event.qualifier))
            yield from _sam_rule(event, target)
    for logical_id in document.of_type(_RULE):
        properties = document.properties(logical_id)
        found = tuple(_targets(properties.parts("Targets"), functions))
        yield from _rule(properties, document.name(logical_id), found, (logical_id,))
    for logical_id in document.of_type(_SCHEDULE):
        properties = document.properties(logical_id)
        found = tuple(_targets([properties.part("Target")], functions))
        yield from _schedule(properties, "ScheduleExpression", document.name(logical_id), found, (logical_id,))


def _sam_rule(event: SamEvent, target: Target) -> Iterator[Rule]:
    properties, names = event.properties, (event.logical_id, event.name)
    if event.kind == "ScheduleV2":
        name = properties.text("Name", event.logical_id)
        return _schedule(properties, "ScheduleExpression", name, (target,), names)
    name = properties.text("Name") or properties.text("RuleName") or event.logical_id
    return _rule(properties, name, (target,), names)


def _rule(properties: Properties, name: str, targets: tuple[Target, ...], names: tuple[str, ...]) -> Iterator[Rule]:
    """Yield a rule by its schedule or by its pattern, or both, unless it is disabled or would be refused."""
    bus = properties.text("EventBusName", "default").rpartition("/")[2]
    enabled = _is_enabled(properties)
    expression = properties.text("ScheduleExpression") or properties.text("Schedule")
    try:
        schedule = schedules.parse(expression) if expression else None
        pattern = _pattern(properties)
    except ValueError as error:
        properties.note(f"`{properties.label}`: AWS would refuse this rule: {error}; ignored.")
        return
    if enabled and targets:
        arn = _arn("events", f"rule/{name}" if bus == "default" else f"rule/{bus}/{name}")
        yield Rule(name, arn, targets, schedule, expression, pattern, bus, names=(name, *names))


def _schedule(
    properties: Properties, key: str, name: str, targets: tuple[Target, ...], names: tuple[str, ...]
) -> Iterator[Rule]:
    expression, enabled = properties.text(key), _is_enabled(properties)
    try:
        schedule = schedules.parse(expression, properties.text("ScheduleExpressionTimezone", "UTC"), lenient=True)
    except ValueError as error:
        properties.note(f"`{properties.label}`: AWS would refuse this schedule: {error}; ignored.", key)
        return
    group = properties.text("GroupName", "default")
    if enabled and targets:
        arn = _arn("scheduler", f"schedule/{group}/{name}")
        yield Rule(name, arn, targets, schedule, expression, is_scheduler=True, names=(name, *names))


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT_ID}:{resource}"


def _is_enabled(properties: Properties) -> bool:
    """Tell if a rule is enabled. `State` is the newer one of two forms."""
    is_on = properties.text("Enabled", "true") == "true"
    return is_on and properties.text("State", "ENABLED") != "DISABLED"


def _pattern(properties: Properties) -> Mapping[str, Any] | None:
    """Return the event pattern. Raises `InvalidPattern`, or ValueError for a text that is not JSON."""
    given = properties.get("EventPattern") or properties.get("Pattern")
    if not given:
        return None
    pattern = json.loads(given) if isinstance(given, str) else given
    event_patterns.check(pattern)
    return dict(pattern)


def _targets(parts: list[Properties], functions: Mapping[str, object]) -> Iterator[Target]:
    for part in parts:
        arn = part.text("Arn")
        if ":sqs:" in arn or function_in(arn).name in functions:
            yield _target(part, arn)
        else:
            part.ignored(f"`{part.label}`: {arn or 'a target'} is neither an emulated function nor a queue; ignored.")


def _target(properties: Properties, arn: str) -> Target:
    given = properties.get("Input")
    transformer = properties.part("InputTransformer")
    paths = transformer.part("InputPathsMap")
    return Target(
        arn,
        # YAML makes a mapping of what a template may write as JSON.
        json.dumps(given) if isinstance(given, dict | list) else None if given is None else str(given),
        properties.text("InputPath"),
        transformer.text("InputTemplate"),
        {name: paths.text(name) for name in paths},
    )
