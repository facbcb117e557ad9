"""Consumed capacity by DynamoDB's rules.

Dynoxide reports it by these rules. Two other engines cannot be asked: moto answers with constants, and DynamoDB Local
1.25 reports 4 units both for a transaction of one small item and for one of three. On AWS a table's part of a
transaction costs twice as much as outside of one, an index's part costs the same (measured there by nubo-db/dynoxide,
issue 176 and pull request 188).
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from parley.template.model import Table

_WRITE_UNIT_BYTES = 1024
_READ_UNIT_BYTES = 4096

Item = Mapping[str, Mapping[str, Any]]
"""An item in DynamoDB's JSON, `{"name": {"S": "text"}}`; empty for none."""


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
