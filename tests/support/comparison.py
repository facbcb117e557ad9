"""Answers of DynamoDB engines to the same requests, in a form in which they can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from tests.support import engines
from tests.support.compared_tables import TABLES, rows
from tests.support.generated_requests import Request

_HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Date": "20260101T000000Z",
    # DynamoDB Local needs a signature, and does not check it.
    "Authorization": "AWS4-HMAC-SHA256 Credential=emulator/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=none",
}


@dataclass(frozen=True)
class Answer:
    """An answer in a form that can be compared, and the sum of the capacity units in it."""

    text: str
    units: float | None


def answers(endpoint: str, requests: Iterable[Request]) -> list[Answer]:
    """Create the tables with their items at an endpoint, send the requests, and return the answers."""
    client = engines.client(endpoint)
    for table in TABLES:
        client.create_table(**table)
        client.get_waiter("table_exists").wait(TableName=table["TableName"], WaiterConfig={"Delay": 1})
    parts = urlsplit(endpoint)
    connection = HTTPConnection(parts.hostname or "", parts.port)
    for table_name, item in rows():
        _call(connection, parts.path, "PutItem", {"TableName": table_name, "Item": item})
    found = [_answer(connection, parts.path, request) for request in requests]
    connection.close()
    return found


def _answer(connection: HTTPConnection, path: str, request: Request) -> Answer:
    parameters = {**request.parameters, "ReturnConsumedCapacity": "TOTAL"}
    told = _call(connection, path, request.operation, parameters)
    if request.operation == "Scan" and "Limit" not in parameters and "Items" in told:
        told["Items"].sort(key=_text)
    if request.reads:
        told["then"] = _call(connection, path, "GetItem", {**request.reads, "ConsistentRead": True}).get("Item")
    if request.operation == "BatchGetItem":
        for items in told.get("Responses", {}).values():
            items.sort(key=_text)
    consumed = told.pop("ConsumedCapacity", None)
    tables = consumed if isinstance(consumed, list) else [consumed] if consumed else []
    return Answer(_text(told), sum(table["CapacityUnits"] for table in tables) if tables else None)


def _call(connection: HTTPConnection, path: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an engine answers; of an error, its name and reasons: each engine words its messages by itself."""
    headers = {**_HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
    connection.request("POST", path or "/", json.dumps(parameters), headers)
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    if "__type" not in answer:
        return answer
    reasons = [reason.get("Code") for reason in answer.get("CancellationReasons") or ()]
    return {"error": answer["__type"].rpartition("#")[2], "reasons": reasons, "Item": answer.get("Item")}


def _text(value: Any) -> str:
    return json.dumps(_normal(value), sort_keys=True, ensure_ascii=False)


def _normal(value: Any) -> Any:
    """Return a value with its sets sorted, for they have no order, and without what engines may leave out."""
    if isinstance(value, Mapping):
        return {
            name: sorted(each) if name in ("SS", "NS", "BS") and isinstance(each, list) else _normal(each)
            for name, each in value.items()
            if each not in (None, [], {})
        }
    return [_normal(each) for each in value] if isinstance(value, list) else value


class Difference(StrEnum):
    """A kind of difference between the answer of one engine and that of another."""

    TAKES = "takes what the other refuses"
    REFUSES = "refuses what the other takes"
    FAILS = "fails, with an error of its own"
    OTHERWISE = "answers otherwise"
    UNITS = "says other units"


def differences(requests: Iterable[Request], ones: Iterable[Answer], others: Iterable[Answer]) -> dict[str, Difference]:
    """Return the kinds of requests that the second engine answers differently, each with the first difference.

    Other units for the same answer are a kind of their own for each operation.
    """
    found: dict[str, Difference] = {}
    for request, one, other in zip(requests, ones, others, strict=True):
        if one.text != other.text:
            found.setdefault(request.kind, _difference(one.text, other.text))
        elif one.units != other.units:
            found.setdefault(f"units: {request.operation}", Difference.UNITS)
    return found


def _difference(one: str, other: str) -> Difference:
    if '"EngineFailure"' in other:
        return Difference.FAILS
    refused = ["error" in json.loads(text) for text in (one, other)]
    if refused == [True, False]:
        return Difference.TAKES
    return Difference.REFUSES if refused == [False, True] else Difference.OTHERWISE
