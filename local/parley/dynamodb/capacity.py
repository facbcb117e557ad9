"""Consumed capacity in the embedded DynamoDB's answers, by DynamoDB's rules.

Neither moto nor DynamoDB Local can be asked: moto answers with constants, and DynamoDB Local 1.25 reports 4 units both
for a transaction of one small item and for one of three. On AWS a table's part of a transaction costs twice as much
as outside of one, an index's part costs the same (measured there by nubo-db/dynoxide, issue 176 and pull request 188).
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType

from parley.template.model import Table

_WRITES = ("PutItem", "UpdateItem", "DeleteItem")
_TRANSACTION = "TransactWriteItems"
_WRITE_UNIT_BYTES = 1024
_READ_UNIT_BYTES = 4096

Item = Mapping[str, Mapping[str, Any]]
"""An item in DynamoDB's JSON, `{"name": {"S": "text"}}`; empty for none."""

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
        if operation not in (*_WRITES, _TRANSACTION, "GetItem", "Query"):
            return {}, []
        try:
            request: dict[str, Any] = json.loads(body)
        except ValueError:
            return {}, []  # moto reports this to the caller
        return request, list(self._images(operation, request))

    def after(self, operation: str, request: Mapping[str, Any], before: Images, content: str) -> tuple[str, float]:
        """Return the corrected answer and the consumed units. The answer shows them only if the request asks for it."""
        answer: dict[str, Any] = json.loads(content)
        asked = request.get("ReturnConsumedCapacity", "NONE") != "NONE"
        request = {**request, "ReturnConsumedCapacity": request["ReturnConsumedCapacity"] if asked else "TOTAL"}
        if operation in ("GetItem", "Query"):
            table, index = request["TableName"], request.get("IndexName")
            units = {f"{table}/{index}" if index else table: _read_units_of(request, answer)}
            consumed: Any = _consumed_capacity(table, units, request)
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
            yield _consumed_capacity(name, spent, request)

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


def charged(table: Table, before: Item, after: Item, *, transaction: bool) -> dict[str, int]:
    """Return the write units of one changed item, by what is written: the table, and each index that changes."""
    units = {table.name: write_units(before, after) * (2 if transaction else 1)}
    for index in table.definition.get("GlobalSecondaryIndexes", []):
        changed = index_units(_index_entry(table, index, before), _index_entry(table, index, after), _keys(index))
        if changed:
            units[f"{table.name}/{index['IndexName']}"] = changed
    return units


def write_units(before: Item, after: Item) -> int:
    """Return one unit for each started KB of the item before or after the write, whichever is larger."""
    return max(1, -(-max(size(before), size(after)) // _WRITE_UNIT_BYTES))


def read_units(size_read: int, *, consistent: bool) -> float:
    """Return one unit for each started 4 KB that are read, at least one; half of it if not consistent."""
    return max(1, -(-size_read // _READ_UNIT_BYTES)) * (1.0 if consistent else 0.5)


def index_units(before: Item, after: Item, keys: list[str]) -> int:
    """Return the write units of a changed index entry. A new key costs two writes: one deletes, one puts."""
    if before == after:
        return 0
    if before and after and any(before[key] != after[key] for key in keys):
        return write_units(before, {}) + write_units({}, after)
    return write_units(before, after)


def _keys(described: Mapping[str, Any]) -> list[str]:
    return [key["AttributeName"] for key in described["KeySchema"]]


def _index_entry(table: Table, index: Mapping[str, Any], item: Item) -> Item:
    """Return the part of an item that an index holds: nothing if the item lacks one of the index's keys."""
    if any(key not in item for key in _keys(index)):
        return {}
    if index["Projection"]["ProjectionType"] == "ALL":
        return item
    shown = {*_keys(table.definition), *_keys(index), *index["Projection"].get("NonKeyAttributes", [])}
    return {name: value for name, value in item.items() if name in shown}


def size(item: Item) -> int:
    """Return the bytes of an item as DynamoDB counts them, names included."""
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def _size(value: Mapping[str, Any]) -> int:
    [(kind, content)] = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return 1 + -(-len(content.replace(".", "").strip("-0")) // 2)
        case "BOOL" | "NULL":
            return 1
        case "B":
            return len(b64decode(content) if isinstance(content, str) else content)  # in JSON, or as boto3 has it
        case "L":
            return 3 + sum(1 + _size(each) for each in content)
        case "M":
            return 3 + len(content) + size(content)
        case _:  # SS, NS, BS
            return sum(_size({kind[0]: each}) for each in content)
