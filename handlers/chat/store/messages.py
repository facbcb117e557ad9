"""Messages of chats, and the markers of the ids that clients gave them."""

from __future__ import annotations

from collections.abc import Iterator

from handlers.chat.records import Message
from handlers.chat.store.tables import MessageItem, SentItem
from handlers.chat.store.writes import delete_in_batches

_PAGE_ITEMS = 50
_DELETION_PAGE_ITEMS = 100


class Messages:
    """The table of messages. The iterators are lazy: they read a page of the table when the caller gets there."""

    def get(self, chat_id: str, message_id: str) -> Message | None:
        """Return one message, None if it is not stored."""
        try:
            return MessageItem.get(chat_id, message_id, consistent_read=True).message()
        except MessageItem.DoesNotExist:
            return None

    def sent_as(self, chat_id: str, client_message_id: str) -> str | None:
        """Return the id of the message that was stored under a client's own id, None if there is none."""
        try:
            marker = SentItem.get(SentItem.partition_of(chat_id), client_message_id, consistent_read=True)
        except SentItem.DoesNotExist:
            return None
        return str(marker.sent_as)

    def newest_first(self, chat_id: str, before: str | None = None) -> Iterator[Message]:
        """Yield a chat's messages, the newest first. With `before`, only those that are older than this id."""
        older = MessageItem.message_id < before if before else None
        query = MessageItem.query(chat_id, older, consistent_read=True, scan_index_forward=False, page_size=_PAGE_ITEMS)
        for item in query:
            yield item.message()

    def oldest_first(self, chat_id: str) -> Iterator[Message]:
        """Yield all messages of a chat, the oldest first."""
        for item in MessageItem.query(chat_id, consistent_read=True):
            yield item.message()

    def after(self, chat_id: str, message_id: str, page_items: int) -> Iterator[Message]:
        """Yield a chat's messages that are newer than this id, the oldest of them first."""
        newer = MessageItem.message_id > message_id
        for item in MessageItem.query(chat_id, newer, consistent_read=True, page_size=page_items):
            yield item.message()

    def delete_until(self, chat_id: str, until: str) -> Iterator[int]:
        """Delete a chat's messages up to this id, and yield after each batch how many it had."""
        found = MessageItem.query(
            chat_id,
            MessageItem.message_id <= until,
            consistent_read=True,
            page_size=_DELETION_PAGE_ITEMS,
            attributes_to_get=["chatId", "messageId"],
        )
        return delete_in_batches(MessageItem, found)

    def delete_markers_until(self, chat_id: str, until: str) -> Iterator[int]:
        """Delete the markers of a chat's messages up to this id, and yield after each batch how many it had."""
        # A marker's key is the client's id, which says nothing about its age, so all markers of the chat are read.
        found = SentItem.query(SentItem.partition_of(chat_id), consistent_read=True, page_size=_DELETION_PAGE_ITEMS)
        return delete_in_batches(SentItem, (marker for marker in found if marker.sent_as <= until))
