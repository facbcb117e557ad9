"""Questions of the emulator itself to DynamoDB Streams."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from parley.dynamodb.engine import Database

_TARGET = "DynamoDBStreams_20120810"
"""The beginning of the operations of DynamoDB Streams."""


async def ask(database: Database | None, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """Ask the emulator's own DynamoDB about its streams. None if it is elsewhere, has none, or refuses."""
    if database is None:
        return None
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"{_TARGET}.{operation}"}
    answer = await database.answer(headers, json.dumps(parameters).encode())
    content = json.loads(answer.body or b"null") if answer.status == 200 else None
    return content if isinstance(content, dict) else None
