"""The tables and their items, a page at a time, for the developer to look at."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from parley.asgi import whole_number
from parley.dynamodb.engine import JSON_TYPE, Database

MAX_ITEMS = 100
_ITEMS = 50


class NotShown(Exception):
    """A table or a page that cannot be shown. The text says why; `status` is the one of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def tables(database: Database) -> list[dict[str, Any]]:
    """Return the tables with their keys, by name."""
    names: list[str] = []
    content: dict[str, Any] = {}
    while True:
        answer = await _call(database, "ListTables", content)
        names += answer["TableNames"]
        if "LastEvaluatedTableName" not in answer:
            return list(await asyncio.gather(*(_described(database, name) for name in sorted(names))))
        content = {"ExclusiveStartTableName": answer["LastEvaluatedTableName"]}


async def items(database: Database, name: str, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of a table's items, as DynamoDB has them. Raises `NotShown`.

    `asked` may have `limit`, `key` (only items with this partition key) and `next`, of the page before.
    """
    table = await _described(database, name)
    limit = whole_number(asked["limit"]) if "limit" in asked else _ITEMS
    if limit is None or not 1 <= limit <= MAX_ITEMS:
        raise NotShown(400, f"limit={asked['limit']:.100} is not a number from 1 to {MAX_ITEMS}")
    content: dict[str, Any] = {"TableName": name, "Limit": limit}
    if asked.get("next"):
        content["ExclusiveStartKey"] = _start(asked["next"])
    if key := asked.get("key"):
        content |= {
            "KeyConditionExpression": "#key = :key",
            "ExpressionAttributeNames": {"#key": table["partitionKey"]},
            "ExpressionAttributeValues": {":key": {table["partitionKeyType"]: key}},
        }
    answer = await _call(database, "Query" if key else "Scan", content)
    after = answer.get("LastEvaluatedKey")
    token = base64.urlsafe_b64encode(json.dumps(after).encode()).decode() if after else None
    return {**table, "found": answer.get("Items", []), "next": token}


async def _described(database: Database, name: str) -> dict[str, Any]:
    described, lifetime = await asyncio.gather(
        _call(database, "DescribeTable", {"TableName": name}),
        _call(database, "DescribeTimeToLive", {"TableName": name}),
    )
    table = described["Table"]
    keys = {each["KeyType"]: each["AttributeName"] for each in table["KeySchema"]}
    types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    return {
        "name": name,
        "partitionKey": keys["HASH"],
        "partitionKeyType": types[keys["HASH"]],
        "sortKey": keys.get("RANGE"),
        "ttlAttribute": lifetime.get("TimeToLiveDescription", {}).get("AttributeName"),
        "items": table.get("ItemCount", 0),
    }


def _start(token: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, RecursionError):
        raise NotShown(400, "next is not of a page before") from None


async def _call(database: Database, operation: str, content: Mapping[str, Any]) -> dict[str, Any]:
    headers = {**JSON_TYPE, "x-amz-target": f"DynamoDB_20120810.{operation}"}
    answer = await database.answer(headers, json.dumps(content).encode())
    found = json.loads(answer.body or b"{}")
    if answer.status == 200:
        return dict(found)
    kind = str(found.get("__type", "")).rpartition("#")[2]
    status = 404 if kind == "ResourceNotFoundException" else 400 if answer.status < 500 else 502
    raise NotShown(status, str(found.get("message") or found.get("Message") or kind))
