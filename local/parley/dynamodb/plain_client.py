"""A client of the emulator's own DynamoDB, without boto3: the start waits for it, and boto3 would take 25 MB for it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT_SECONDS = 60
_POLL_SECONDS = 0.05


class Refusal(Exception):
    """An error of DynamoDB's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class ResourceInUse(Refusal):
    """The table exists."""


class ConditionalCheckFailed(Refusal):
    """The condition of a write does not hold."""


class Exceptions:
    """The errors that callers tell apart, by the names that boto3 gives them."""

    ResourceInUseException = ResourceInUse
    ConditionalCheckFailedException = ConditionalCheckFailed


class PlainClient:
    """A client with the methods of boto3's: `create_table(…)` is the operation `CreateTable`."""

    exceptions = Exceptions

    def __init__(self, endpoint: str) -> None:
        self._address = urlsplit(endpoint)

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        operation = "".join(word.capitalize() for word in name.split("_"))
        return lambda **content: self._call(operation, content)

    def get_waiter(self, name: str) -> PlainClient:
        """Return what waits until a table exists: this client. There is no other waiter."""
        assert name == "table_exists"  # noqa: S101 - the one that `provision` uses
        return self

    def wait(self, **content: Any) -> None:
        """Wait until a table, and each of its indexes, can be used."""
        while not _is_active(self._call("DescribeTable", {"TableName": content["TableName"]})["Table"]):
            time.sleep(_POLL_SECONDS)

    def _call(self, operation: str, content: Mapping[str, Any]) -> dict[str, Any]:
        # Each call has a connection of its own: there are few, in one thread.
        connection = http.client.HTTPConnection(
            self._address.hostname or "", self._address.port, timeout=_TIMEOUT_SECONDS
        )
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Authorization": "AWS4-HMAC-SHA256 Credential=emulator/20260101/us-east-1/dynamodb/aws4_request, "
            "SignedHeaders=host, Signature=none",
        }
        try:
            connection.request("POST", self._address.path or "/", json.dumps(content), headers)
            answer = connection.getresponse()
            found: dict[str, Any] = json.loads(answer.read() or b"{}")
        finally:
            connection.close()
        if answer.status != 200:
            raise _refusal(str(found.get("__type", answer.status)).rpartition("#")[2], found)
        return found


def _refusal(code: str, found: Mapping[str, Any]) -> Refusal:
    kind = getattr(Exceptions, code, Refusal)
    return kind(code, str(found.get("message") or found.get("Message") or ""))


def _is_active(table: Mapping[str, Any]) -> bool:
    parts = [table, *table.get("GlobalSecondaryIndexes", ())]
    return all(part.get("TableStatus", part.get("IndexStatus", "ACTIVE")) == "ACTIVE" for part in parts)
