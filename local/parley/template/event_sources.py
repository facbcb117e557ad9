"""Event sources in templates: queues that invoke functions, as SAM events or CloudFormation mappings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from parley.template.arns import function_in
from parley.template.document import Document, Properties
from parley.template.functions import SAM
from parley.template.model import LATEST, EventSource


def event_sources(document: Document, functions: Mapping[str, object]) -> Iterator[EventSource]:
    """Return the event sources that are queues. Other mappings get a note."""
    for logical_id in document.of_type(SAM):
        events = document.properties(logical_id).part("Events")
        alias = document.properties(logical_id).text("AutoPublishAlias", LATEST)
        for event in map(events.part, events):
            if event.text("Type") == "SQS" and document.name(logical_id) in functions:
                properties = event.part("Properties")
                yield from _sources(properties, properties.text("Queue"), document.name(logical_id), alias)
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
