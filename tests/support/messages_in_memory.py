"""A table of messages in a list that counts its queries and their read units, for properties over many chats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from parley.dynamodb.capacity import read_units, size

from handlers.chat.protocol.sizes import arrived
from handlers.chat.records import Chat, Message
from handlers.chat.store.tables import MessageItem, message_in


class _Answer(Iterator[Message]):
    def __init__(self, items: Sequence[Message], more: bool) -> None:
        self._left = iter(items)
        self.last_evaluated_key = {"messageId": {"S": items[-1].message_id}} if items and more else None

    def __next__(self) -> Message:
        return next(self._left)


@dataclass
class MessagesInMemory:
    """The messages of one chat, oldest first, and what reading them has cost."""

    items: list[Any] = field(default_factory=list)
    queries: int = 0
    read_units: float = 0.0

    def messages(
        self, chat_id: str, ids: Any = None, *, limit: int, start: Any = None, consistent_read: bool = True, **_: Any
    ) -> _Answer:
        """Answer a query for the newest messages, as `MessageItem.messages` does with `limit` as the page's size."""
        before = ids.values[1].value["S"] if ids is not None else None
        if start:
            before = start["messageId"]["S"]
        older = [each for each in reversed(self.items) if before is None or each.message_id < before]
        found = older[:limit]
        self.queries += 1
        self.read_units += read_units(sum(map(bytes_of_item, found)), consistent=consistent_read)
        # DynamoDB stops when it has as many as asked for, and does not look whether there are more.
        return _Answer([message_in(each.serialize()) for each in found], more=len(found) == limit)

    def clear(self) -> None:
        """Count anew."""
        self.queries, self.read_units = 0, 0.0


def bytes_of_item(item: Any) -> int:
    """Return the bytes of a message's item."""
    return size(item.serialize())


@contextmanager
def messages_in_memory(chat: Chat, messages: Sequence[Message]) -> Iterator[tuple[MessagesInMemory, Chat]]:
    """Put messages into a chat, one after the other, as a store does. Yields the table and the chat as it is then."""
    table = MessagesInMemory()
    for message in messages:
        kept, sizes, count = arrived(chat, message)
        table.items.append(MessageItem.of(kept))
        chat = replace(chat, sizes=sizes, message_count=count, last_message_id=message.message_id)
    messages_of: Callable[..., Any] = table.messages
    # A look for an older message is a query of keys.
    with patch.object(MessageItem, "messages", messages_of), patch.object(MessageItem, "query", messages_of):
        yield table, chat
