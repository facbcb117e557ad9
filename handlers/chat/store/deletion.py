"""Deleting what a chat has left in the table of messages, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from pynamodb.models import Model

from handlers.chat.store.tables import MessageItem, SentItem

BATCH = 25
"""Items that one BatchWriteItem of DynamoDB takes."""

_PAGE = 100
Row = TypeVar("Row", bound=Model)


def delete_messages(chat_id: str, until: str) -> Iterator[int]:
    """Delete a chat's messages up to this id, and yield how many they were after each batch."""
    old = MessageItem.message_id <= until
    keys = ["chatId", "messageId"]
    found = MessageItem.query(chat_id, old, consistent_read=True, page_size=_PAGE, attributes_to_get=keys)
    return _delete(MessageItem, found)


def delete_markers(chat_id: str, until: str) -> Iterator[int]:
    """Delete the markers of a chat's messages up to this id, and yield how many they were after each batch."""
    found = SentItem.query(SentItem.partition_of(chat_id), consistent_read=True, page_size=_PAGE)
    return _delete(SentItem, (marker for marker in found if marker.sent_as <= until))


def _delete(model: type[Row], rows: Iterable[Row]) -> Iterator[int]:
    rows = iter(rows)
    while batch := list(islice(rows, BATCH)):
        with model.batch_write() as writes:
            for row in batch:
                writes.delete(row)
        yield len(batch)
