"""Tables, queues, topics, SSM parameters and secrets in templates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from parley.template.arns import function_arn, function_in
from parley.template.document import Document, Properties, as_mapping
from parley.template.event_sources import sam_events
from parley.template.model import Parameter, Queue, Secret, Subscription, Table, Topic

_QUEUE_ATTRIBUTES = {
    *("DelaySeconds", "MaximumMessageSize", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds"),
    *("VisibilityTimeout", "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"),
}


def tables(document: Document) -> Iterator[Table]:
    """Return the DynamoDB tables."""
    for logical_id in document.of_type("AWS::DynamoDB::Table"):
        yield _table(document, logical_id)
    for logical_id in document.of_type("AWS::Serverless::SimpleTable"):
        yield _simple_table(document, logical_id)


def _table(document: Document, logical_id: str) -> Table:
    properties = document.properties(logical_id)
    name = document.name(logical_id)
    given = {each: properties.get(each) for each in ("AttributeDefinitions", "KeySchema", "BillingMode")}
    indexes = {
        each: [_index(index) for index in properties.parts(each)]
        for each in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
    }
    definition = {"TableName": name, **given, **indexes, "ProvisionedThroughput": _throughput(properties)}
    if view := properties.part("StreamSpecification").text("StreamViewType"):
        definition["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": view}
    ttl = properties.part("TimeToLiveSpecification")
    return Table(
        name,
        {argument: value for argument, value in definition.items() if value},
        ttl.text("AttributeName") if ttl.text("Enabled") == "true" else None,
    )


def _simple_table(document: Document, logical_id: str) -> Table:
    key = document.properties(logical_id).part("PrimaryKey")
    name = document.name(logical_id)
    attribute = key.text("Name", "id")
    kind = {"String": "S", "Number": "N", "Binary": "B"}.get(key.text("Type", "String"), "S")
    definition = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": attribute, "AttributeType": kind}],
        "KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    return Table(name, definition, None)


def _index(properties: Properties) -> dict[str, Any]:
    """Return an index in the form of CreateTable, without CloudFormation's additional settings."""
    given = {each: properties.get(each) for each in ("IndexName", "KeySchema", "Projection")}
    index = {**given, "ProvisionedThroughput": _throughput(properties)}
    return {name: value for name, value in index.items() if value}


def _throughput(properties: Properties) -> dict[str, int]:
    """Return the provisioned capacity as numbers; a parameter's value is text."""
    units = properties.part("ProvisionedThroughput")
    return {name: int(units.number(name, 1)) for name in units if name in ("ReadCapacityUnits", "WriteCapacityUnits")}


def queues(document: Document) -> Iterator[Queue]:
    """Return the SQS queues. Dead-letter queues come first, because others refer to them."""
    found = [_queue(document, logical_id) for logical_id in document.of_type("AWS::SQS::Queue")]
    yield from sorted(found, key=lambda queue: "RedrivePolicy" in queue.attributes)


def _queue(document: Document, logical_id: str) -> Queue:
    properties = document.properties(logical_id)
    attributes = {name: properties.text(name) for name in _QUEUE_ATTRIBUTES if properties.text(name)}
    if redrive := as_mapping(properties.get("RedrivePolicy")):
        attributes["RedrivePolicy"] = json.dumps(redrive)
    return Queue(document.name(logical_id), attributes)


def topics(document: Document) -> Iterator[Topic]:
    """Return the SNS topics."""
    for logical_id in document.of_type("AWS::SNS::Topic"):
        properties = document.properties(logical_id)
        attributes = {name: properties.text(name) for name in ("FifoTopic", "ContentBasedDeduplication")}
        yield Topic(document.name(logical_id), {name: value for name, value in attributes.items() if value})


def subscriptions(document: Document, functions: Mapping[str, object]) -> Iterator[Subscription]:
    """Return the subscriptions of queues and functions to topics. A subscription of anything else gets a note."""
    for logical_id in document.of_type("AWS::SNS::Subscription"):
        properties = document.properties(logical_id)
        yield from _subscription(properties, properties.text("TopicArn"), functions)
    for logical_id in document.of_type("AWS::SNS::Topic"):
        topic = str(document.resolved({"Ref": logical_id}, ("Resources", logical_id)))
        for properties in document.properties(logical_id).parts("Subscription"):
            yield from _subscription(properties, topic, functions)
    for event in sam_events(document, "SNS"):
        if event.function in functions:
            topic, arn = event.properties.text("Topic"), function_arn(event.function, event.qualifier)
            yield Subscription(topic, arn, False, "lambda", _filters(event.properties))


def _subscription(properties: Properties, topic: str, functions: Mapping[str, object]) -> Iterator[Subscription]:
    protocol, endpoint = properties.text("Protocol"), properties.text("Endpoint")
    if protocol == "sqs":
        raw = properties.text("RawMessageDelivery") == "true"
        yield Subscription(topic, endpoint, raw, filters=_filters(properties))
    elif protocol == "lambda" and function_in(endpoint).name in functions:
        yield Subscription(topic, endpoint, False, "lambda", _filters(properties))
    else:
        what = "this is no emulated function" if protocol == "lambda" else f"{protocol} does not"
        properties.ignored(
            f"`{properties.label}`: only queues and functions get the messages of topics, {what}; ignored."
        )


def _filters(properties: Properties) -> dict[str, str]:
    """Return the attributes of a subscription that say which messages it gets."""
    policy, scope = properties.get("FilterPolicy"), properties.text("FilterPolicyScope")
    if not policy:
        return {}
    text = policy if isinstance(policy, str) else json.dumps(policy)
    return {**({"FilterPolicyScope": scope} if scope else {}), "FilterPolicy": text}


def parameters(document: Document) -> Iterator[Parameter]:
    """Return the SSM parameters."""
    for logical_id in document.of_type("AWS::SSM::Parameter"):
        properties = document.properties(logical_id)
        yield Parameter(document.name(logical_id), properties.text("Value"), properties.text("Type", "String"))


def secrets(document: Document) -> Iterator[Secret]:
    """Return the secrets of Secrets Manager."""
    for logical_id in document.of_type("AWS::SecretsManager::Secret"):
        key = document.properties(logical_id).text("KmsKeyId")
        yield Secret(document.name(logical_id), document.secret_string(logical_id), key)
