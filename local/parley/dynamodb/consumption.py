"""The consumed capacity in the embedded DynamoDB's answers, by DynamoDB's rules: moto answers with constants."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType

from parley.dynamodb.pricing import Item, charged, read_units, size
from parley.template.model import Table

_WRITES = ("PutItem", "UpdateItem", "DeleteItem")
_TRANSACTION = "TransactWriteItems"
Images = list[tuple[str, Item]]
"""Items that a request names, each with its table, as they are at one moment."""


class Consumption:
    """Corrects answers. A request is shown to `before` it is carried out, and its answer to `after`."""

    def __init__(self, backend: DynamoDBBackend) -> None:
        self._backend = backend

    def before(self, operation: str, body: bytes) -> tuple[dict[str, Any], Images]:
        """Return a request that has a capacity, with the items that it will write; nothing for another one."""
        if operation not in (*_WRITES, _TRANSACTION, "GetItem", "Query"):
            return {}, []
        try:
            request: dict[str, Any] = json.loads(body)
        except ValueError:
            return {}, []  # moto says so to the caller
        return request, list(self._images(operation, request))

    def after(self, operation: str, request: Mapping[str, Any], before: Images, content: str) -> tuple[str, float]:
        """Return the answer, with what its request has consumed if it asks for that, and the units."""
        answer: dict[str, Any] = json.loads(content)
        asked = request.get("ReturnConsumedCapacity", "NONE") != "NONE"
        request = {**request, "ReturnConsumedCapacity": request["ReturnConsumedCapacity"] if asked else "TOTAL"}
        if operation in ("GetItem", "Query"):
            table, index = request["TableName"], request.get("IndexName")
            units = {f"{table}/{index}" if index else table: _read(request, answer)}
            consumed: Any = _entry(table, units, request)
        else:
            tables = list(self._written(operation, request, before))
            consumed = tables if operation == _TRANSACTION else tables[0]
        total = sum(each["CapacityUnits"] for each in (consumed if isinstance(consumed, list) else [consumed]))
        return (json.dumps({**answer, "ConsumedCapacity": consumed}) if asked else content), total

    def _written(self, operation: str, request: Mapping[str, Any], before: Images) -> Iterator[dict[str, Any]]:
        units: dict[str, Counter[str]] = {}
        for (name, old), (_, new) in zip(before, self._images(operation, request), strict=True):
            spent = charged(self._table(name), old, new, transaction=operation == _TRANSACTION)
            units.setdefault(name, Counter()).update(spent)
        for name, spent in units.items():
            yield _entry(name, spent, request)

    def _images(self, operation: str, request: Mapping[str, Any]) -> Iterator[tuple[str, Item]]:
        if operation == _TRANSACTION:
            for item in request.get("TransactItems") or ():
                for part in item.values():
                    yield self._image(part)
        elif operation in _WRITES:
            yield self._image(request)

    def _image(self, part: Mapping[str, Any]) -> tuple[str, Item]:
        name = part.get("TableName", "")
        table = self._backend.tables.get(name)
        key = part.get("Key") or part.get("Item") or {}
        if table is None or table.hash_key_attr not in key:
            return name, {}
        range_key = DynamoType(key[table.range_key_attr]) if table.range_key_attr in key else None
        try:
            item = table.get_item(DynamoType(key[table.hash_key_attr]), range_key)
        except Exception:  # a key that is not the table's: moto says so to the caller
            return name, {}
        return name, item.to_json()["Attributes"] if item else {}

    def _table(self, name: str) -> Table:
        table = self._backend.tables[name]
        indexes = [
            {"IndexName": index.name, "KeySchema": index.schema, "Projection": index.projection}
            for index in table.global_indexes
        ]
        return Table(name, {"KeySchema": table.schema, "GlobalSecondaryIndexes": indexes}, None)


def _read(request: Mapping[str, Any], answer: Mapping[str, Any]) -> float:
    items = answer.get("Items") or ([answer["Item"]] if answer.get("Item") else [])
    return read_units(sum(map(size, items)), consistent=bool(request.get("ConsistentRead")))


def _entry(table: str, units: Mapping[str, float], request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table's consumed capacity as the service writes it, in all or, where asked for, by its indexes."""
    total = float(sum(units.values()))
    if request["ReturnConsumedCapacity"] == "TOTAL":
        return {"TableName": table, "CapacityUnits": total}
    indexes = {name.partition("/")[2]: {"CapacityUnits": float(each)} for name, each in units.items() if "/" in name}
    entry = {"TableName": table, "CapacityUnits": total, "Table": {"CapacityUnits": float(units.get(table, 0.0))}}
    return entry | ({"GlobalSecondaryIndexes": indexes} if indexes else {})
