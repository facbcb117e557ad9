"""Messages of chats, and the markers of the ids that clients gave them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pynamodb.expressions.condition import Condition
from pynamodb.pagination import ResultIterator

from handlers.chat.protocol.attachments import kept_attachments
from handlers.chat.protocol.parts import kept_parts
from handlers.chat.records import NOTHING, Message
from handlers.chat.store.feedback import FeedbackItem
from handlers.chat.store.tables import MessageItem, SentItem
from handlers.chat.store.writes import DELETION_PAGE_ITEMS, MESSAGE_KEYS, delete_in_batches

FIRST_PAGE_ITEMS = 2
"""A question and the reply before it: all that is read of a chat before its messages' size is known."""

ROOM_BYTES = 30_000
"""The room of a reader that names none: that of a frame."""

_GROWTH = 8
_MAX_PAGE_ITEMS = 100
_JUST_ABOVE = "\x01"
_OVERHEAD_BYTES = 150
"""The bytes of a message beside its text, in a frame and about as many in its item."""


def bytes_of(message: Message) -> int:
    """Return the bytes of a message."""
    kept = (kept_parts(message.parts) or "") + (kept_attachments(message.attachments) or "")
    return len(message.content.encode()) + len(kept.encode()) + _OVERHEAD_BYTES


def next_page(seen: int, filled: int, room: int, most: int) -> int:
    """Return how many messages to read next: as many as the room has left for, if they are like those before.

    It never reads many more than it has seen: a chat of short messages may go on with long ones.
    """
    fitting = (room - filled) * seen // max(1, filled)
    return max(1, min(fitting, most - seen, seen * _GROWTH, _MAX_PAGE_ITEMS))


def _newest(chat_id: str, until: Condition | None, items: int, start: Any = None) -> ResultIterator[Message]:
    """Return one page of a chat's messages, the newest first. `start` is where the page before it has ended."""
    return MessageItem.messages(chat_id, until, forward=False, limit=items, page_items=items, start=start)


def _without_feedback(item: MessageItem) -> MessageItem:
    """Return a message that is to be deleted next, after its feedback: nobody finds that without it."""
    if item.feedback is not None:
        with FeedbackItem.batch_write() as writes:
            writes.delete(FeedbackItem.at(item.chat_id, item.message_id, item.timestamp))
    return item


class _Path:
    """A path that is read from its end on, page by page. The messages of other branches lie between its own."""

    def __init__(self) -> None:
        self.goes_on_with: str | None = None
        """The message that comes next, if that is not the one with the next lower id."""
        self.is_over = False

    def among(self, messages: Iterable[Message]) -> Iterator[Message]:
        """Yield the messages of a page that are on the path. It is over with its first message, or if there is none."""
        self.is_over = True
        for message in messages:
            if self.goes_on_with is None or message.message_id <= self.goes_on_with:
                self.goes_on_with, self.is_over = message.after, message.after == NOTHING
                yield message
            if self.is_over:
                break
        if self.is_over:
            self.goes_on_with = None


class Messages:
    """The table of messages. The iterators are lazy: they read a page of the table when the caller gets there."""

    def get(self, chat_id: str, message_id: str) -> Message | None:
        """Return one message, None if it is not stored."""
        return MessageItem.find(chat_id, message_id)

    def sent_as(self, chat_id: str, client_message_id: str) -> str | None:
        """Return the id of the message that was stored under a client's own id, None if there is none."""
        try:
            marker = SentItem.get(SentItem.partition_of(chat_id), client_message_id, consistent_read=True)
        except SentItem.DoesNotExist:
            return None
        return str(marker.sent_as)

    def newest_first(
        self,
        chat_id: str,
        before: str | None = None,
        *,
        leaf: str | None = None,
        most: int = _MAX_PAGE_ITEMS,
        room: int = ROOM_BYTES,
        size: Callable[[Message], int] | None = None,
        first: int | None = None,
        by_page: bool = False,
    ) -> Iterator[Message]:
        """Yield the messages of a path, the newest first: those that end with `leaf`, or else with the newest message.

        With `before`, they end with the newest message that is older than this id. What lies between the first message
        of a branch and the one that it comes after is read at most to the end of the page, and left out.

        A read is charged by what it returns, so it returns little more than the reader needs: about `most` messages
        that fill the `room` together, in the reader's own measure of one, `size`, or else in bytes. Who takes more gets
        more.

        `first` is how many to read first, if that is known. With `by_page`, what the messages say of pages is followed.
        """
        older = MessageItem.message_id < before if before else None
        older = MessageItem.message_id <= leaf if leaf else older
        items, seen, filled, start = min(most, first or FIRST_PAGE_ITEMS), 0, 0, None
        known, path = 0, _Path()
        while True:
            page = _newest(chat_id, older, items, start)
            for message in path.among(page):
                known = known if seen else message.page or 0
                seen, filled = seen + 1, filled + (size or bytes_of)(message)
                yield message
            start = page.last_evaluated_key
            if path.goes_on_with is not None:
                older, start = MessageItem.message_id <= path.goes_on_with, None
            elif path.is_over or start is None or message.page == 0:
                return
            items = next_page(seen, filled, room, most)
            if by_page and seen < known:
                items = min(known, most) - seen
            elif first and seen < first:
                items = min(first - seen, items)  # others of another branch lay between
            elif by_page and message.page:
                items = min(items, max(1, message.page - 1))

    def has_older(self, chat_id: str, message_id: str) -> bool:
        """Return True if a chat has a message that is older than this id."""
        # Half the price of the message that is there. A replica that is late may not have it yet, so its no is checked,
        # which costs next to nothing where nothing is.
        return self._has_older(chat_id, message_id, certain=False) or self._has_older(chat_id, message_id, certain=True)

    def _has_older(self, chat_id: str, message_id: str, *, certain: bool) -> bool:
        found = MessageItem.query(
            chat_id,
            MessageItem.message_id < message_id,
            consistent_read=certain,
            scan_index_forward=False,
            limit=1,
            page_size=1,
            attributes_to_get=MESSAGE_KEYS,
        )
        return next(found, None) is not None

    def with_previous(self, chat_id: str, message_id: str | None) -> tuple[Message, ...]:
        """Return a message and the one with the next lower id, as far as they are stored. None means the newest one."""
        until = MessageItem.message_id <= message_id if message_id else None
        messages = tuple(_newest(chat_id, until, 2))
        return messages if messages and message_id in (None, messages[0].message_id) else ()

    def oldest_first(self, chat_id: str) -> Iterator[Message]:
        """Return all messages of a chat, of all branches, the oldest first."""
        return MessageItem.messages(chat_id)

    def after(
        self, chat_id: str, message_id: str, page_items: int, first: str = "", last: str | None = None
    ) -> Iterator[Message]:
        """Return a chat's messages that are newer than this id, the oldest of them first.

        With `last`, only those from `first` to that one.
        """
        newer: Condition = MessageItem.message_id > message_id
        if last is not None:
            # A key condition has one range, and `between` includes both ends: no id ends with this character.
            newer = MessageItem.message_id.between(max(first, f"{message_id}{_JUST_ABOVE}"), last)
        return MessageItem.messages(chat_id, newer, page_items=page_items)

    def delete_until(self, chat_id: str, until: str) -> Iterator[int]:
        """Delete a chat's messages up to this id, and yield after each batch how many it had."""
        found = MessageItem.query(
            chat_id,
            MessageItem.message_id <= until,
            consistent_read=True,
            page_size=DELETION_PAGE_ITEMS,
            attributes_to_get=[*MESSAGE_KEYS, "timestamp", "feedback"],
        )
        return delete_in_batches(MessageItem, map(_without_feedback, found))

    def delete_markers_until(self, chat_id: str, until: str) -> Iterator[int]:
        """Delete the markers of a chat's messages up to this id, and yield after each batch how many it had."""
        # A marker's key is the client's id, which says nothing about its age, so all markers of the chat are read.
        found = SentItem.query(SentItem.partition_of(chat_id), consistent_read=True, page_size=DELETION_PAGE_ITEMS)
        return delete_in_batches(SentItem, (marker for marker in found if marker.sent_as <= until))
