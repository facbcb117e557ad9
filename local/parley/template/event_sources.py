"""Event sources in templates: queues and streams of tables, as SAM events or CloudFormation mappings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from parley.template import event_patterns
from parley.template.arns import function_in
from parley.template.document import Document, Properties
from parley.template.functions import SAM
from parley.template.model import LATEST, EventSource, StreamSource

EMULATED_EVENTS = (
    "SQS",
    "Api",
    "SNS",
    "Schedule",
    "ScheduleV2",
    "EventBridgeRule",
    "CloudWatchEvent",
    "S3",
    "DynamoDB",
)
"""Types of SAM's events that are read, besides `HttpApi`."""


@dataclass(frozen=True, slots=True)
class SamEvent:
    """An event of a SAM function, with its properties. SAM makes a resource of it, whose logical id is `logical_id`."""

    name: str
    logical_id: str
    kind: str
    function: str
    qualifier: str
    properties: Properties


def sam_events(document: Document, *kinds: str) -> Iterator[SamEvent]:
    """Return the events of these types of all SAM functions."""
    for logical_id in document.of_type(SAM):
        function = document.properties(logical_id)
        events, alias = function.part("Events"), function.text("AutoPublishAlias", LATEST)
        for name in events:
            event = events.part(name)
            if (kind := event.text("Type")) in kinds:
                details = event.part("Properties")
                yield SamEvent(name, f"{logical_id}{name}", kind, document.name(logical_id), alias, details)


def event_sources(document: Document, functions: Mapping[str, object]) -> Iterator[EventSource]:
    """Return the event sources that are queues. Mappings of anything but queues and streams get a note."""
    for event in sam_events(document, "SQS"):
        if event.function in functions:
            yield from _sources(event.properties, event.properties.text("Queue"), event.function, event.qualifier)
    for logical_id in document.of_type("AWS::Lambda::EventSourceMapping"):
        properties = document.properties(logical_id)
        arn = properties.text("EventSourceArn")
        function = function_in(properties.text("FunctionName"))
        if ":sqs:" in arn and function.name in functions:
            yield from _sources(properties, arn, function.name, function.qualifier)
        elif function.name not in functions or not is_stream(arn):
            why = "this is not a mapping from a queue or a table's stream to an emulated function"
            properties.ignored(f"`{logical_id}`: {why}; ignored.")


def _sources(properties: Properties, arn: str, function: str, qualifier: str) -> Iterator[EventSource]:
    """Yield the event source, unless it is not enabled."""
    reports = "ReportBatchItemFailures" in properties.texts("FunctionResponseTypes")
    batch = int(properties.number("BatchSize", 10))
    if properties.text("Enabled", "true") == "true":
        yield EventSource(arn.rpartition(":")[2], function, qualifier, batch, reports)


def is_stream(arn: str) -> bool:
    """Tell if an ARN is that of a table's stream."""
    return ":dynamodb:" in arn and "/stream/" in arn


def stream_sources(document: Document, functions: Mapping[str, object]) -> Iterator[StreamSource]:
    """Return the tables whose changes invoke functions."""
    for event in sam_events(document, "DynamoDB"):
        if event.function in functions:
            yield from _streams(event.properties, event.properties.text("Stream"), event.function, event.qualifier)
    for logical_id in document.of_type("AWS::Lambda::EventSourceMapping"):
        properties = document.properties(logical_id)
        arn, function = properties.text("EventSourceArn"), function_in(properties.text("FunctionName"))
        if is_stream(arn) and function.name in functions:
            yield from _streams(properties, arn, function.name, function.qualifier)


def _streams(properties: Properties, arn: str, function: str, qualifier: str) -> Iterator[StreamSource]:
    """Yield the source, unless it is not enabled, or is no stream of a table."""
    if not is_stream(arn):
        properties.note(f"`{properties.label}`: {arn or 'this'} is no stream of a table; ignored.")
        return
    destination = properties.part("DestinationConfig").part("OnFailure").text("Destination")
    source = StreamSource(
        table=arn.partition(":table/")[2].partition("/")[0],
        function=function,
        qualifier=qualifier,
        batch_size=int(properties.number("BatchSize", 100)),
        from_start=properties.text("StartingPosition", "LATEST") == "TRIM_HORIZON",
        reports_failures="ReportBatchItemFailures" in properties.texts("FunctionResponseTypes"),
        bisects=properties.text("BisectBatchOnFunctionError") == "true",
        retries=int(properties.number("MaximumRetryAttempts", -1)),
        max_age=int(properties.number("MaximumRecordAgeInSeconds", -1)),
        on_failure=destination,
        filters=tuple(_filters(properties)),
    )
    if properties.text("Enabled", "true") == "true":
        yield source


def _filters(properties: Properties) -> Iterator[Mapping[str, Any]]:
    """Yield the patterns of the filters. One that AWS would refuse gets a note."""
    for part in properties.part("FilterCriteria").parts("Filters"):
        try:
            pattern = json.loads(part.text("Pattern"))
            event_patterns.check(pattern)
        except ValueError as error:
            part.note(f"`{part.label}`: AWS would refuse this filter: {error}; ignored.", "Pattern")
        else:
            yield pattern
