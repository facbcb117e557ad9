"""Conditional writes: single ones, transactions, and deletions in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from pynamodb.exceptions import DeleteError, PutError, PynamoDBException, TransactWriteError, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from handlers.chat.store.dynamodb import CONNECTION

MAX_BATCH_ITEMS = 25
"""Items that one BatchWriteItem of DynamoDB takes."""

MESSAGE_KEYS = ["chatId", "messageId"]
"""The keys of the table of messages, which has what belongs to messages in partitions of its own."""

DELETION_PAGE_ITEMS = 100
"""Items that are read at once to be deleted."""

CONDITION_FAILED = "ConditionalCheckFailedException"
_CONDITION_OF_TRANSACTION_FAILED = "ConditionalCheckFailed"

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True, eq=False)
class Write:
    """One write of a transaction. `place` is the place of its kind in a request of PynamoDB."""

    place: int
    add: Callable[[TransactWrite], None]


def put(item: Model, condition: Condition) -> bool:
    """Write a whole item. Returns False if the condition does not hold."""
    return _written(lambda: item.save(condition), PutError)


def update(item: Model, actions: Sequence[Action], condition: Condition) -> bool:
    """Change an item, and read it back into `item`. Returns False if the condition does not hold."""
    return _written(lambda: item.update(list(actions), condition), UpdateError)


def delete(item: Model, condition: Condition) -> bool:
    """Delete an item. Returns False if the condition does not hold."""
    return _written(lambda: item.delete(condition), DeleteError)


def _written(write: Callable[[], object], failure: type[PynamoDBException]) -> bool:
    """Write, and return False if the failure says that the condition does not hold."""
    try:
        write()
    except failure as error:
        if error.cause_response_code != CONDITION_FAILED:
            raise
        return False
    return True


def putting(item: Model, condition: Condition | None = None) -> Write:
    """Return the write of a whole item."""
    return Write(2, lambda transaction: transaction.save(item, condition))


def updating(item: Model, actions: Sequence[Action], condition: Condition) -> Write:
    """Return the change of an item."""
    return Write(3, lambda transaction: transaction.update(item, list(actions), condition))


def deleting(item: Model, condition: Condition | None = None) -> Write:
    """Return the deletion of an item."""
    return Write(1, lambda transaction: transaction.delete(item, condition))


def checking(item: Model, condition: Condition) -> Write:
    """Return the check of an item that is not changed. It costs as much as a change."""
    hash_key, range_key = (name and getattr(item, name) for name in (item._hash_keyname, item._range_keyname))
    return Write(0, lambda transaction: transaction.condition_check(type(item), hash_key, range_key, condition))


def transact(writes: Sequence[Write]) -> bool:
    """Write all or nothing. Returns False if a condition does not hold."""
    return not refused(writes)


def refused(writes: Sequence[Write]) -> list[Write]:
    """Write all or nothing. Returns the writes whose conditions do not hold: none if all was written."""
    # DynamoDB gives one reason for each write, in the order of the request, and PynamoDB sorts that by kind.
    writes = sorted(writes, key=lambda write: write.place)
    try:
        with TransactWrite(connection=CONNECTION) as transaction:
            for write in writes:
                write.add(transaction)
    except TransactWriteError as error:
        reasons = zip(writes, error.cancellation_reasons, strict=False)
        if failed := [write for write, why in reasons if why and why.code == _CONDITION_OF_TRANSACTION_FAILED]:
            return failed
        raise
    return []


def delete_where(model: type[Model], partition: str, condition: Condition) -> Iterator[int]:
    """Delete rows of a partition of the table of messages, by a condition on their keys.

    Yields after each batch how many it had.
    """
    found = model.query(
        partition,
        condition,
        consistent_read=True,
        page_size=DELETION_PAGE_ITEMS,
        attributes_to_get=MESSAGE_KEYS,
    )
    return delete_in_batches(model, found)


def delete_in_batches(model: type[Row], rows: Iterable[Row]) -> Iterator[int]:
    """Delete rows, and yield after each batch how many it had."""
    rows = iter(rows)
    while batch := list(islice(rows, MAX_BATCH_ITEMS)):
        with model.batch_write() as writes:
            for row in batch:
                writes.delete(row)
        yield len(batch)
