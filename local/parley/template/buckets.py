"""S3 buckets in templates, with their rules for pages, and their notifications: SAM's events or CloudFormation's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal

from parley.template.arns import function_arn, function_in
from parley.template.document import Document, Properties
from parley.template.event_sources import sam_events
from parley.template.model import Bucket, CorsRule, Notification

_KINDS: tuple[tuple[str, str, Literal["CloudFunction", "Queue", "Topic"]], ...] = (
    ("LambdaConfigurations", "Function", "CloudFunction"),
    ("QueueConfigurations", "Queue", "Queue"),
    ("TopicConfigurations", "Topic", "Topic"),
)
"""The lists of a notification configuration, the property that names the target, and S3's own name of the kind."""


def buckets(document: Document, functions: Mapping[str, object]) -> Iterator[Bucket]:
    """Return the buckets. A notification to a function that is not emulated gets a note."""
    more: dict[str, list[Notification]] = {}
    for event in sam_events(document, "S3"):
        if event.function in functions:
            arn = function_arn(event.function, event.qualifier)
            found = _notification(event.properties, "CloudFunction", arn, "Events")
            more.setdefault(event.properties.text("Bucket"), []).append(found)
    for logical_id in document.of_type("AWS::S3::Bucket"):
        bucket = _bucket(document, logical_id, functions)
        notifications = (*bucket.notifications, *more.get(bucket.name, ()))
        yield replace(bucket, notifications=notifications)


def _bucket(document: Document, logical_id: str, functions: Mapping[str, object]) -> Bucket:
    configuration = document.properties(logical_id).part("NotificationConfiguration")
    found = []
    for listed, target, kind in _KINDS:
        for properties in configuration.parts(listed):
            arn = properties.text(target)
            if kind == "CloudFunction" and function_in(arn).name not in functions:
                properties.ignored(f"`{properties.label}`: {arn or 'this'} is no emulated function; ignored.")
            else:
                found.append(_notification(properties, kind, arn, "Event"))
    bus = configuration.part("EventBridgeConfiguration")
    notifies = bool(bus.raw) and bus.text("EventBridgeEnabled", "true") == "true"
    return Bucket(document.name(logical_id), tuple(found), notifies, _cors(document.properties(logical_id)))


def _cors(properties: Properties) -> tuple[CorsRule, ...] | None:
    configuration = properties.part("CorsConfiguration")
    if not configuration.raw:
        return None
    return tuple(
        CorsRule(
            origins=tuple(rule.texts("AllowedOrigins")),
            methods=tuple(rule.texts("AllowedMethods")),
            headers=tuple(rule.texts("AllowedHeaders")),
            exposed=tuple(rule.texts("ExposedHeaders")),
            max_age=rule.text("MaxAge"),
        )
        for rule in configuration.parts("CorsRules")
    )


def _notification(
    properties: Properties, kind: Literal["CloudFunction", "Queue", "Topic"], arn: str, events: str
) -> Notification:
    rules = properties.part("Filter").part("S3Key").parts("Rules")
    values = {rule.text("Name").lower(): rule.text("Value") for rule in rules}
    named = tuple(properties.texts(events))
    return Notification(kind, arn, named, values.get("prefix", ""), values.get("suffix", ""))
