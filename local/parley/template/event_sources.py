"""Queues that invoke functions, in templates: SAM's events of the type SQS, or mappings of CloudFormation's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from parley.template.arns import function_in
from parley.template.document import Document, Properties
from parley.template.functions import SAM
from parley.template.model import LATEST, EventSource


def event_sources(document: Document, functions: Mapping[str, object]) -> Iterator[EventSource]:
    """Return the event sources that are queues. Those of other kinds are noted."""
    for logical_id in document.of_type(SAM):
        events = document.properties(logical_id).part("Events")
        alias = document.properties(logical_id).text("AutoPublishAlias", LATEST)
        for event in map(events.part, events):
            if event.text("Type") == "SQS" and document.name(logical_id) in functions:
                properties = event.part("Properties")
                yield _source(properties, properties.text("Queue"), document.name(logical_id), alias)
    for logical_id in document.of_type("AWS::Lambda::EventSourceMapping"):
        properties = document.properties(logical_id)
        arn = properties.text("EventSourceArn")
        function = function_in(properties.text("FunctionName"))
        if ":sqs:" in arn and function.name in functions:
            yield _source(properties, arn, function.name, function.qualifier)
        else:
            properties.note(f"{logical_id} leads from no queue to a function that runs here, it is left out")


def _source(properties: Properties, arn: str, function: str, qualifier: str) -> EventSource:
    reports = "ReportBatchItemFailures" in properties.texts("FunctionResponseTypes")
    return EventSource(arn.rpartition(":")[2], function, qualifier, int(properties.number("BatchSize", 10)), reports)
