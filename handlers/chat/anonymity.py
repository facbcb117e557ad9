"""Connections without a user, which have a while to authenticate: each is looked at again when that is over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class Anonymity:
    """The queue of connections to look at. What is sent is received `seconds` later; 0 for never."""

    def __init__(self, client: SQSClient, queue_url: str, seconds: int) -> None:
        self._client = client
        self._queue_url = queue_url
        self._seconds = seconds

    def expires(self, connection_id: str) -> None:
        """Have a connection closed that nobody authenticates in time. May raise botocore's errors."""
        if self._queue_url and self._seconds:
            body = json.dumps({"connectionId": connection_id})
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=body, DelaySeconds=self._seconds)


def connection_in(body: str) -> str:
    """Return the connection that a message of the queue is about."""
    return str(json.loads(body)["connectionId"])
