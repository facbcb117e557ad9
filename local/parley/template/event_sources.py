"""Event sources in templates: queues that invoke functions, as SAM events or CloudFormation mappings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from parley.template.arns import function_in
from parley.template.document import Document, Properties
from parley.template.functions import SAM
from parley.template.model import LATEST, EventSource

EMULATED_EVENTS = ("SQS", "Api", "SNS", "Schedule", "ScheduleV2", "EventBridgeRule", "CloudWatchEvent")
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
    """Return the event sources that are queues. Other mappings get a note."""
    for event in sam_events(document, "SQS"):
        if event.function in functions:
            yield from _sources(event.properties, event.properties.text("Queue"), event.function, event.qualifier)
    for logical_id in document.of_type("AWS::Lambda::EventSourceMapping"):
        properties = document.properties(logical_id)
        arn = properties.text("EventSourceArn")
        function = function_in(properties.text("FunctionName"))
        if ":sqs:" in arn and function.name in functions:
            yield from _sources(properties, arn, function.name, function.qualifier)
        else:
            properties.ignored(f"`{logical_id}`: this is not a mapping from a queue to an emulated function; ignored.")


def _sources(properties: Properties, arn: str, function: str, qualifier: str) -> Iterator[EventSource]:
    """Yield the event source, unless it is not enabled."""
    reports = "ReportBatchItemFailures" in properties.texts("FunctionResponseTypes")
    batch = int(properties.number("BatchSize", 10))
    if properties.text("Enabled", "true") == "true":
        yield EventSource(arn.rpartition(":")[2], function, qualifier, batch, reports)
