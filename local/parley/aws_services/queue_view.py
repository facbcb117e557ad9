"""The messages of SQS's queues, looked at without receiving them: nothing changes by it."""

from __future__ import annotations

import sys
from typing import Any

from parley.account import ACCOUNT_ID, REGION

MAX_MESSAGES = 100
"""The most messages of a queue that are shown: the oldest ones."""


def queues() -> list[dict[str, Any]]:
    """Return the queues with their numbers of messages. Only for the thread in which moto's queues are used."""
    return [_described(queue) for _, queue in sorted(_all().items())]


def messages(name: str) -> dict[str, Any] | None:
    """Return a queue with its oldest messages; None if there is none of this name. Only for the same thread."""
    queue = _all().get(name)
    if queue is None:
        return None
    return {**_described(queue), "messages": [_message(each) for each in queue._messages[:MAX_MESSAGES]]}


def is_empty(name: str) -> bool:
    """Tell if a queue is there and has no messages, not even delayed ones. Only for the same thread."""
    queue = _all().get(name)
    return queue is not None and not queue._messages


def has_visible(name: str) -> bool:
    """Tell if a queue has a message that can be received. Only for the same thread."""
    queue = _all().get(name)
    return queue is not None and any(each.visible and not each.delayed for each in queue._messages)


def wait_seconds(name: str) -> int:
    """Return how long a request for messages of a queue waits if it does not say so. Only for the same thread."""
    queue = _all().get(name)
    return int(queue.receive_message_wait_time_seconds) if queue is not None else 0


def _all() -> dict[str, Any]:
    if "moto.sqs.models" not in sys.modules:
        return {}  # no queue was made yet, and moto's import takes long
    from moto.sqs.models import sqs_backends

    return dict(sqs_backends[ACCOUNT_ID][REGION].queues)


def _described(queue: Any) -> dict[str, Any]:
    dead_letters = queue.dead_letter_queue
    senders = [name for name, each in _all().items() if each.dead_letter_queue is queue]
    return {
        "name": queue.name,
        "visible": sum(each.visible and not each.delayed for each in queue._messages),
        "inFlight": sum(not each.visible for each in queue._messages),
        "delayed": sum(each.delayed for each in queue._messages),
        "deadLetters": dead_letters.name if dead_letters else None,
        "maxReceives": queue.redrive_policy["maxReceiveCount"] if dead_letters else None,
        "deadLettersOf": sorted(senders),
    }


def _message(message: Any) -> dict[str, Any]:
    attributes = message.message_attributes.items()
    return {
        "id": message.id,
        "body": message.body,
        "sentAt": message.sent_timestamp / 1000 if message.sent_timestamp else None,
        "receives": message.approximate_receive_count,
        "state": "in flight" if not message.visible else "delayed" if message.delayed else "visible",
        "attributes": {name: str(value.get("string_value", value.get("StringValue"))) for name, value in attributes},
    }
