"""SQS's part of an AWS account in tests: queues whose messages become invisible when they are received."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any


class Queues:
    """Queues by their URLs. `moves` lists the ARNs of the queues whose messages were moved back."""

    def __init__(self) -> None:
        self.messages: dict[str, list[dict[str, Any]]] = {}
        self.moves: list[str] = []

    def put(self, url: str, body: str, error: str = "") -> str:
        """Put an event into a queue, as Lambda does after the last retry. Return its id."""
        attributes = {"ErrorMessage": {"DataType": "String", "StringValue": error}} if error else {}
        message = {"MessageId": str(uuid.uuid4()), "Body": body, "MessageAttributes": attributes, "visible": 0.0}
        self.messages.setdefault(url, []).append(message)
        return str(message["MessageId"])

    def bodies(self, url: str) -> list[str]:
        """Return the events in a queue."""
        return [message["Body"] for message in self.messages.get(url, ())]

    def hidden(self, url: str) -> int:
        """Return the number of messages that nobody sees now."""
        return sum(message["visible"] > time.monotonic() for message in self.messages.get(url, ()))

    def get_queue_attributes(self, given: Mapping[str, Any]) -> Any:
        url = given["QueueUrl"]
        hidden, all_ = self.hidden(url), len(self.messages.get(url, ()))
        return {
            "Attributes": {
                "QueueArn": f"arn:aws:sqs:eu-central-1:123456789012:{url.rpartition('/')[2]}",
                "ApproximateNumberOfMessages": str(all_ - hidden),
                "ApproximateNumberOfMessagesNotVisible": str(hidden),
            }
        }

    def receive_message(self, given: Mapping[str, Any]) -> Any:
        now = time.monotonic()
        found = [each for each in self.messages.get(given["QueueUrl"], ()) if each["visible"] <= now]
        found = found[: given.get("MaxNumberOfMessages", 1)]
        for each in found:
            each["visible"] = now + given["VisibilityTimeout"]
            each["ReceiptHandle"] = each["MessageId"]
        return {"Messages": [{name: value for name, value in each.items() if name != "visible"} for each in found]}

    def change_message_visibility(self, given: Mapping[str, Any]) -> None:
        for each in self.messages[given["QueueUrl"]]:
            if each["MessageId"] == given["ReceiptHandle"]:
                each["visible"] = time.monotonic() + given["VisibilityTimeout"]

    def delete_message(self, given: Mapping[str, Any]) -> None:
        queue = self.messages[given["QueueUrl"]]
        queue[:] = [each for each in queue if each["MessageId"] != given["ReceiptHandle"]]

    def list_message_move_tasks(self, given: Mapping[str, Any]) -> Any:
        return {"Results": [{"Status": "RUNNING"}] if given["SourceArn"] in self.moves else []}

    def start_message_move_task(self, given: Mapping[str, Any]) -> Any:
        self.moves.append(given["SourceArn"])
        return {"TaskHandle": "handle"}
