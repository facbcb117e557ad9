"""Consumed capacity in moto's answers: moto answers with constants, these are the units by DynamoDB's rules."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType

from parley.dynamodb.capacity import Item, charged, read_units, size
from parley.dynamodb.fallback.tables import table_name
from parley.template.model import Table

WRITES = ("PutItem", "UpdateItem", "DeleteItem")
TRANSACTION = "TransactWriteItems"

Images = list[tuple[str, Item]]
"""The items that a request names, each with its table, at one moment."""


class CapacityCorrection:
    """Replaces the capacity in moto's answers.

    Call `before` with a request that is about to be carried out, and `after` with its answer.
    """

    def __init__(self, backend: DynamoDBBackend) -> None:
        self._backend = backend

    def before(self, operation: str, body: bytes) -> tuple[dict[str, Any], Images]:
        """Return the request, and the items that it will write as they are now.

        Both are empty for a request that has no capacity.
        """
        if operation not in (*WRITES, TRANSACTION, "GetItem", "Query"):
            return {}, []
        try:
            request: dict[str, Any] = json.loads(body)
        except (ValueError, RecursionError):
            return {}, []  # moto reports this to the caller
        return request, list(self._images(operation, request))

    def after(
        self, operation: str, request: Mapping[str, Any], before: Images, content: str, *, repeated: bool = False
    ) -> tuple[str, float]:
        """Return the corrected answer and the consumed units. The answer shows them only if the request asks for it.

        A repeated transaction consumes what it takes to read its items.
        """
        answer: dict[str, Any] = json.loads(content)
        asked = request.get("ReturnConsumedCapacity", "NONE") != "NONE"
        request = {**request, "ReturnConsumedCapacity": request["ReturnConsumedCapacity"] if asked else "TOTAL"}
        if operation in ("GetItem", "Query"):
            table, index = table_name(request), request.get("IndexName")
            units = {f"{table}/{index}" if index else table: _read_units_of(request, answer)}
            consumed: Any = _consumed_capacity(table, units, request)
        else:
            written = self._read_again(request, before) if repeated else self._written(operation, request, before)
            tables = list(written)
            consumed = tables if operation == TRANSACTION else tables[0]
        total = sum(each["CapacityUnits"] for each in (consumed if isinstance(consumed, list) else [consumed]))
        return (json.dumps({**answer, "ConsumedCapacity": consumed}) if asked else content), total

    def _written(self, operation: str, request: Mapping[str, Any], before: Images) -> Iterator[dict[str, Any]]:
        units: dict[str, Counter[str]] = {}
        for (name, old), (_, new) in zip(before, self._images(operation, request), strict=True):
            spent = charged(self._table(name), old, new, transaction=operation == TRANSACTION)
            units.setdefault(name, Counter()).update(spent)
        for name, spent in units.items():
            yield _consumed_capacity(name, spent, request)

    def _read_again(self, request: Mapping[str, Any], items: Images) -> Iterator[dict[str, Any]]:
        units: Counter[str] = Counter()
        for name, item in items:
            units[name] += int(2 * read_units(size(item), consistent=True))
        for name, spent in units.items():
            yield _consumed_capacity(name, {name: spent}, request)

    def _images(self, operation: str, request: Mapping[str, Any]) -> Iterator[tuple[str, Item]]:
        if operation == TRANSACTION:
            for item in request.get("TransactItems") or ():
                for part in item.values():
                    yield self._image(part)
        elif operation in WRITES:
            yield self._image(request)

    def _image(self, part: Mapping[str, Any]) -> tuple[str, Item]:
        name = table_name(part)
        table = self._backend.tables.get(name)
        key = part.get("Key") or part.get("Item") or {}
        if table is None or table.hash_key_attr not in key:
            return name, {}
        range_key = DynamoType(key[table.range_key_attr]) if table.range_key_attr in key else None
        try:
            item = table.get_item(DynamoType(key[table.hash_key_attr]), range_key)
        except Exception:  # a key of the wrong type; moto reports this to the caller
            return name, {}
        return name, item.to_json()["Attributes"] if item else {}

    def _table(self, name: str) -> Table:
        table = self._backend.tables[name]
        indexes = [
            {"IndexName": index.name, "KeySchema": index.schema, "Projection": index.projection}
            for index in table.global_indexes
        ]
        return Table(name, {"KeySchema": table.schema, "GlobalSecondaryIndexes": indexes}, None)


def _read_units_of(request: Mapping[str, Any], answer: Mapping[str, Any]) -> float:
    items = answer.get("Items") or ([answer["Item"]] if answer.get("Item") else [])
    return read_units(sum(map(size, items)), consistent=bool(request.get("ConsistentRead")))


def _consumed_capacity(table: str, units: Mapping[str, float], request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table's `ConsumedCapacity`: the total or, if the request asks for it, also by index."""
    total = float(sum(units.values()))
    if request["ReturnConsumedCapacity"] == "TOTAL":
        return {"TableName": table, "CapacityUnits": total}
    indexes = {name.partition("/")[2]: {"CapacityUnits": float(each)} for name, each in units.items() if "/" in name}
    consumed = {"TableName": table, "CapacityUnits": total, "Table": {"CapacityUnits": float(units.get(table, 0.0))}}
    return consumed | ({"GlobalSecondaryIndexes": indexes} if indexes else {})
