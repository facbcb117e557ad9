"""Patches for moto's DynamoDB: the time of a call depends on the items that it touches, not on all that are stored.

Unpatched, moto sorts the whole table for each query and copies the whole table for each transaction. At 5,000 items
that takes 20 ms and 120 ms. Its answers take 0.3 ms for each item, most of it for values that are JSON already.

The patches replace parts that are not public; `pyproject.toml` pins moto's minor version because of them.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from moto.dynamodb import models
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

Key = Mapping[str, dict[str, Any]]


class PartitionedTable(Table):
    """A table that reads only the partition that a query names.

    It keeps the query or the transaction in attributes, so only one thread may use it, as with all of moto.
    """

    queried: DynamoType | None = None
    """The partition that the running query names; None while there is no query, or one of an index."""

    touched: Sequence[Key] | None = None
    """The keys of the items that the running transaction may change; None while there is no transaction."""

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
        """Query the table, or an index over all items of the table."""
        # moto's own query filters and sorts what `all_items` returns; this makes `all_items` return one partition.
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
        """Return the items; during a query only those of its partition."""
        if self.queried is None:
            return super().all_items()
        partition: Any = self.items.get(self.queried)
        if partition is None:
            return []
        return list(partition.values()) if self.has_range_key else [partition]

    def __deepcopy__(self, memo: dict[int, Any]) -> PartitionedTable:
        """Return the copy that moto restores if a transaction fails.

        moto changes only the items that the transaction names, so the copy shares all others with this table.
        """
        clone = copy.copy(self)
        clone.items = (
            copy.deepcopy(self.items, memo) if self.touched is None else self._items_with_copies_of_the_touched()
        )
        return clone

    def _items_with_copies_of_the_touched(self) -> Any:
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


def _transact_write_items_patched(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    """Tell the tables which items a transaction may change, then let moto carry it out."""
    keys: dict[str, list[Key]] = defaultdict(list)
    for operation in (operation for item in transact_items for operation in item.values()):
        keys[table_name(operation)].append(operation.get("Key") or operation.get("Item") or {})
    for table in _tables(backend, keys):
        table.touched = keys[table.name]
    try:
        _transact_write_items(backend, transact_items)
    finally:
        for table in _tables(backend, keys):  # after a rollback these are other objects than before
            table.touched = None


def _tables(backend: DynamoDBBackend, names: Iterable[str]) -> list[PartitionedTable]:
    tables = map(backend.tables.get, names)
    return [table for table in tables if isinstance(table, PartitionedTable)]


def table_name(request: Mapping[str, Any]) -> str:
    """Return the name of the table that a request is about; it may say the table's ARN instead."""
    return str(request.get("TableName", "")).rpartition("/")[2]


def install() -> None:
    """Apply the patches. Tables that are created from now on are `PartitionedTable`s."""
    models.Table = PartitionedTable  # type: ignore[attr-defined]
    DynamoDBBackend.transact_write_items = _transact_write_items_patched  # type: ignore[method-assign, assignment]
