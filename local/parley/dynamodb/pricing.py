"""What DynamoDB charges for reads and writes, by its rules: neither moto nor DynamoDB Local can be asked.

moto's figures are constants, and DynamoDB Local 1.25 says 4 units for a transaction of one small item and 4 for three.
On AWS a table's part of a transaction costs twice as much as outside one, an index's part the same (measured there by
nubo-db/dynoxide, issue 176 and pull request 188).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parley.template.model import Table

Item = Mapping[str, Mapping[str, Any]]
"""An item as DynamoDB's JSON has it, `{"name": {"S": "text"}}`; empty for none."""


def charged(table: Table, before: Item, after: Item, *, transaction: bool) -> dict[str, int]:
    """Write units of one item by what is written: the table, and each index that changes."""
    units = {table.name: write_units(before, after) * (2 if transaction else 1)}
    for index in table.definition.get("GlobalSecondaryIndexes", []):
        changed = index_units(_entry(table, index, before), _entry(table, index, after), _keys(index))
        if changed:
            units[f"{table.name}/{index['IndexName']}"] = changed
    return units


def write_units(before: Item, after: Item) -> int:
    """One for each KB started of the item, as it was or as it is, whichever is larger."""
    return max(1, -(-max(size(before), size(after)) // 1024))


def read_units(size_read: int, *, consistent: bool) -> float:
    """One for each 4 KB started of what is read, at least one; half of that where it may be old."""
    return max(1, -(-size_read // 4096)) * (1.0 if consistent else 0.5)


def index_units(before: Item, after: Item, keys: list[str]) -> int:
    """What the change of an index's entry costs. A new key costs two writes: the old entry goes, a new one comes."""
    if before == after:
        return 0
    if before and after and any(before[key] != after[key] for key in keys):
        return write_units(before, {}) + write_units({}, after)
    return write_units(before, after)


def _keys(described: Mapping[str, Any]) -> list[str]:
    return [key["AttributeName"] for key in described["KeySchema"]]


def _entry(table: Table, index: Mapping[str, Any], item: Item) -> Item:
    """What an index has of an item: nothing unless the item has the index's keys."""
    if any(key not in item for key in _keys(index)):
        return {}
    if index["Projection"]["ProjectionType"] == "ALL":
        return item
    shown = {*_keys(table.definition), *_keys(index), *index["Projection"].get("NonKeyAttributes", [])}
    return {name: value for name, value in item.items() if name in shown}


def size(item: Item) -> int:
    """Bytes of an item as DynamoDB counts them, names included."""
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
            return len(content)
        case "L":
            return 3 + sum(1 + _size(each) for each in content)
        case "M":
            return 3 + len(content) + size(content)
        case _:  # SS, NS, BS
            return sum(_size({kind[0]: each}) for each in content)
