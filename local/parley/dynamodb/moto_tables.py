"""moto's tables, so that a call costs what it touches, not what is stored.

By itself moto sorts the whole table for each query and copies it for each transaction: 20 and 120 ms at 5,000 items.
Its answers take 0.3 ms an item, most of it for values that are JSON already.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb import models
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

Key = Mapping[str, dict[str, Any]]


class PartitionedTable(Table):
    """A table that looks into one partition where one is asked for. For one thread, as all of moto."""

    queried: DynamoType | None = None
    touched: Sequence[Key] | None = None
    """Keys of the items that the running transaction may change; None while there is no transaction."""

    def query(
        self,
        hash_key: DynamoType | None,
        range_comparison: str | None,
        range_objs: list[DynamoType],
        limit: int,
        exclusive_start_key: dict[str, Any],
        scan_index_forward: bool,
        projection_expressions: list[list[str]] | None,
        index_name: str | None = None,
        *arguments: Any,
        **more: Any,
    ) -> tuple[list[Item], int, dict[str, Any] | None]:
        """Query the table or, over all its items, an index."""
        self.queried = None if index_name else hash_key
        try:
            return super().query(
                *(hash_key, range_comparison, range_objs, limit, exclusive_start_key, scan_index_forward),
                *(projection_expressions, index_name, *arguments),
                **more,
            )
        finally:
            self.queried = None

    def all_items(self) -> list[Item]:
        """Return the items, of the partition alone that is queried."""
        if self.queried is None:
            return super().all_items()
        partition: Any = self.items.get(self.queried)
        if partition is None:
            return []
        return list(partition.values()) if self.has_range_key else [partition]

    def __deepcopy__(self, memo: dict[int, Any]) -> PartitionedTable:
        """Return a copy to roll back to: in a transaction only as deep as the transaction reaches."""
        clone = copy.copy(self)
        clone.items = copy.deepcopy(self.items, memo) if self.touched is None else self._items_but_touched_ones_copied()
        return clone

    def _items_but_touched_ones_copied(self) -> Any:
        items = self.items.copy()
        for key in self.touched or ():
            hash_key = DynamoType(key[self.hash_key_attr]) if self.hash_key_attr in key else None
            if hash_key not in items:
                continue
            if not self.range_key_attr:
                items[hash_key] = copy.deepcopy(items[hash_key])
            elif self.range_key_attr in key:
                items[hash_key] = _with_copy_of(DynamoType(key[self.range_key_attr]), items[hash_key])
        return items


def _with_copy_of(range_key: DynamoType, partition: dict[DynamoType, Item]) -> dict[DynamoType, Item]:
    item = partition.get(range_key)
    return dict(partition) if item is None else partition | {range_key: copy.deepcopy(item)}


_transact_write_items = DynamoDBBackend.transact_write_items


def _transact(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    keys: dict[str, list[Key]] = defaultdict(list)
    for operation in (operation for item in transact_items for operation in item.values()):
        keys[operation.get("TableName", "")].append(operation.get("Key") or operation.get("Item") or {})
    for table in _tables(backend, keys):
        table.touched = keys[table.name]
    try:
        _transact_write_items(backend, transact_items)
    finally:
        for table in _tables(backend, keys):  # others than before, where moto has rolled back
            table.touched = None


def _tables(backend: DynamoDBBackend, names: Iterable[str]) -> list[PartitionedTable]:
    tables = map(backend.tables.get, names)
    return [table for table in tables if isinstance(table, PartitionedTable)]


_PLAIN = frozenset(("S", "N", "BOOL", "NULL", "SS", "NS"))
_serialize_structure = BaseJSONSerializer._serialize_type_structure


def _serialize(serializer: BaseJSONSerializer, serialized: Any, value: Any, shape: Any, key: str) -> None:
    """Take a plain attribute value as it is. moto looks for each of its ten possible members under several names."""
    if (
        shape.name == "AttributeValue"
        and key
        and isinstance(value, dict)
        and len(value) == 1
        and value.keys() <= _PLAIN
    ):
        serialized[key] = value
    else:
        _serialize_structure(serializer, serialized, value, shape, key)


def install() -> None:
    """Let moto make such tables, and write such answers, from now on."""
    BaseJSONSerializer._serialize_type_structure = _serialize  # type: ignore[method-assign, assignment]
    models.Table = PartitionedTable  # type: ignore[attr-defined]
    DynamoDBBackend.transact_write_items = _transact  # type: ignore[method-assign, assignment]
