"""An emulator of a project, as the fixture `parley` gives it to tests; what it prints is checked at the end too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from parley.testing import Parley

from tests.support.devices import Emulator


@contextmanager
def tried(template: Path, *options: str) -> Iterator[Parley]:
    with Parley.start(template, ["--users", "", *options], folder=template.parent) as parley:
        try:
            yield parley
        finally:
            Emulator.printed.append(list(parley.process.lines))


def rows(parley: Parley) -> dict[str, int]:
    """Return how often each row of the table was noted."""
    found = parley.client("dynamodb").scan(TableName="rows", ConsistentRead=True)["Items"]
    return {row["id"]["S"]: int(row["times"]["N"]) for row in found}


def messages(parley: Parley, queue: str) -> list[str]:
    """Return the messages of a queue."""
    sqs = parley.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    return [each["Body"] for each in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])]


def put(parley: Parley, queue: str, body: str) -> None:
    """Send a message to a queue."""
    sqs = parley.client("sqs")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"], MessageBody=body)


def send_event(parley: Parley, function: str, event: Any = b"{}") -> None:
    """Invoke a function asynchronously."""
    parley.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=event)
