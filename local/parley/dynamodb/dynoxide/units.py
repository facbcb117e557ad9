"""Capacity units of every request: the engine is asked for them, and its answer shows them only to who asked, too."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_METERED = frozenset(
    (
        *("GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"),
        *("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"),
        *("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"),
    )
)
"""The operations that have the parameter `ReturnConsumedCapacity`."""

_PARAMETER = "ReturnConsumedCapacity"
_TABLE = rb'\{"TableName":"[^"\\]*"[^{}]*\}'
_CONSUMED = re.compile(rb'"ConsumedCapacity":(' + _TABLE + rb"|\[(?:" + _TABLE + rb",?)*\]),?")
"""The field with the total of each table, as the engine writes it.

It is found without reading the rest of the answer, which may be a megabyte. Nothing in an item looks like it: in the
value of an attribute each name is a type of DynamoDB's (`S`, `M` …), and quotes in a text are escaped.
"""


def is_metered(operation: str) -> bool:
    """Return whether requests for an operation consume capacity, and may ask how much."""
    return operation in _METERED


def asks(request: Mapping[str, Any]) -> bool:
    """Return whether a request asks for its units."""
    return bool(request.get(_PARAMETER, "NONE") != "NONE")


def with_units_asked(request: Mapping[str, Any], body: bytes) -> bytes:
    """Return the body of a request that does not ask for its units, so that it does."""
    if _PARAMETER in request:
        return json.dumps({**request, _PARAMETER: "TOTAL"}).encode()
    # Not serialised anew: the engine shall get what the caller has sent.
    end = body.rindex(b"}")
    return body[:end] + (b"," if request else b"") + f'"{_PARAMETER}":"TOTAL"'.encode() + body[end:]


def units_in(answer: bytes) -> float | None:
    """Return the sum of the units in an answer; None if it shows none."""
    if b'"ConsumedCapacity"' not in answer:
        return None
    consumed = json.loads(answer).get("ConsumedCapacity")
    if consumed is None:
        return None
    tables: list[Mapping[str, Any]] = consumed if isinstance(consumed, list) else [consumed]
    return float(sum(each.get("CapacityUnits", 0.0) for each in tables))


def without_units(answer: bytes) -> tuple[bytes, float | None]:
    """Return an answer to a request whose caller has not asked for units, and the units that it showed."""
    found = _CONSUMED.search(answer)
    if found is None:
        return answer, None
    units = units_in(b"{" + found[0].rstrip(b",") + b"}")
    before, after = answer[: found.start()], answer[found.end() :]
    if after.startswith(b"}"):
        before = before.removesuffix(b",")
    return before + after, units
