"""The tables that DynamoDB engines are compared on, and what is in them from the start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Value = dict[str, Any]


def s(value: str) -> Value:
    return {"S": value}


def n(value: object) -> Value:
    return {"N": str(value)}


HASH, RANGE = "HASH", "RANGE"


def _table(name: str, keys: dict[str, str], *indexes: dict[str, Any], **more: str) -> dict[str, Any]:
    schema = [{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, (HASH, RANGE), strict=False)]
    attributes = [{"AttributeName": key, "AttributeType": kind} for key, kind in {**keys, **more}.items()]
    made = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": schema,
        "AttributeDefinitions": attributes,
    }
    return made | ({"GlobalSecondaryIndexes": list(indexes)} if indexes else {})


def _index(name: str, projection: dict[str, Any], *keys: str) -> dict[str, Any]:
    schema = [{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, (HASH, RANGE), strict=False)]
    return {"IndexName": name, "KeySchema": schema, "Projection": projection}


TABLES = (
    _table("plain", {"id": "S"}),
    _table("written", {"id": "S"}),
    _table(
        "chat",
        {"chat": "S", "at": "S"},
        _index("by-user", {"ProjectionType": "KEYS_ONLY"}, "user"),
        _index("by-title", {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["t"]}, "user", "at"),
        user="S",
    ),
    _table("indexed", {"chat": "S", "at": "S"}, _index("by-user", {"ProjectionType": "ALL"}, "user"), user="S"),
    _table("sent", {"chat": "S", "at": "S"}),
    _table("counted", {"group": "S", "number": "N"}),
)

ITEM: dict[str, Value] = {
    "text": s("text"),
    "n": n(5),
    "price": n("1.5"),
    "tags": {"L": [s("x"), s("y"), s("z")]},
    "m": {"M": {"k": {"L": [n(1), n(2)]}, "name": s("inner")}},
    "b": {"B": "AQI="},
    "yes": {"BOOL": True},
    "nothing": {"NULL": True},
    "words": {"SS": ["a", "b", "c"]},
    "numbers": {"NS": ["1", "2", "3"]},
}
"""The attributes of an item that requests read, without its key."""

ROWS = 4
"""Items of each table that are there from the start."""


def rows() -> Iterator[tuple[str, dict[str, Value]]]:
    """Return the items that are there from the start, each with its table."""
    yield "plain", {"id": s("full"), **ITEM}
    for number in range(ROWS):
        yield "plain", {"id": s(f"row{number}"), "n": n(number), "text": s("abcd"[number])}
        yield "chat", {"chat": s("c"), "at": s(f"{number}"), "user": s("u"), "t": s("t"), "more": s("x" * 3000)}
        yield "counted", {"group": s("g"), "number": n(number * 10), "text": s("x" * 1500)}


def placed(names: dict[str, str] | None, values: dict[str, Value]) -> dict[str, Any]:
    """Return the parameters for the names and values of an expression."""
    placed: dict[str, Any] = {}
    if names:
        placed["ExpressionAttributeNames"] = names
    if values:
        placed["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
    return placed


def message(chat: str, at: str) -> dict[str, Value]:
    """Return the key of a message in a chat."""
    return {"chat": s(chat), "at": s(at)}
