"""Branches of chats: where they begin, and the forks that have their siblings. Both are empty in nearly all chats.

They are written with the messages that begin branches, in one transaction (`store.turns`), and so under the condition
that no turn runs and no branch has changed. What is read of them belongs to the chat as it was read before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from typing import Any, Self

from pynamodb.attributes import MapAttribute, UnicodeAttribute

from handlers.chat.records import Branch, Fork
from handlers.chat.store.dynamodb import Table
from handlers.chat.store.writes import delete_where

_PAGE_ITEMS = 50


class ForkItem(Table):
    """The siblings of a message that has some, under the id of the eldest, in a partition beside the messages."""

    class Meta:
        table_name = os.environ.get("MESSAGES_TABLE", "messages")

    partition = UnicodeAttribute(hash_key=True, attr_name="chatId")
    eldest = UnicodeAttribute(range_key=True, attr_name="messageId")
    leaves: MapAttribute[str, Any] = MapAttribute(null=True)  # type: ignore[no-untyped-call]

    @staticmethod
    def partition_of(chat_id: str) -> str:
        """Return the partition of a chat's forks. No chat's id contains `#`."""
        return f"{chat_id}#forks"

    @classmethod
    def of(cls, chat_id: str, fork: Fork) -> Self:
        """Return the item of a fork."""
        return cls(cls.partition_of(chat_id), fork.eldest, leaves=dict(fork.leaves))

    def fork(self) -> Fork:
        """Return the fork."""
        return Fork(self.eldest, self.leaves.as_dict())  # type: ignore[no-untyped-call]


class BranchItem(Table):
    """The beginning of a branch, under the id of its first message, in another such partition.

    The message says the same. But here are all beginnings of a chat, and nothing between them.
    """

    class Meta:
        table_name = os.environ.get("MESSAGES_TABLE", "messages")

    partition = UnicodeAttribute(hash_key=True, attr_name="chatId")
    first = UnicodeAttribute(range_key=True, attr_name="messageId")
    after = UnicodeAttribute(null=True)

    @staticmethod
    def partition_of(chat_id: str) -> str:
        """Return the partition of the beginnings of a chat's branches."""
        return f"{chat_id}#branches"

    @classmethod
    def of(cls, chat_id: str, branch: Branch) -> Self:
        """Return the item of a branch."""
        return cls(cls.partition_of(chat_id), branch.first, after=branch.after)


class Branches:
    """The branches of chats."""

    def fork(self, chat_id: str, eldest: str) -> Fork | None:
        """Return the fork of the message with this id and its siblings, None if it has none."""
        try:
            return ForkItem.get(ForkItem.partition_of(chat_id), eldest, consistent_read=True).fork()
        except ForkItem.DoesNotExist:
            return None

    def forks(self, chat_id: str, first: str, last: str) -> dict[str, Fork]:
        """Return the forks whose eldest messages are between two, these included, by the ids of the eldest."""
        found = ForkItem.query(
            ForkItem.partition_of(chat_id), ForkItem.eldest.between(first, last), consistent_read=True
        )
        return {item.eldest: item.fork() for item in found}

    def newest_first(self, chat_id: str, leaf: str) -> Iterator[Branch]:
        """Yield the branches that begin with this message or before it, the newest first. The iterator is lazy."""
        found = BranchItem.query(
            BranchItem.partition_of(chat_id),
            BranchItem.first <= leaf,
            consistent_read=True,
            scan_index_forward=False,
            page_size=_PAGE_ITEMS,
        )
        return (Branch(item.first, item.after) for item in found)

    def delete_until(self, chat_id: str, until: str) -> Iterator[int]:
        """Delete a chat's branches and forks up to this message, and yield after each batch how many items it had."""
        return chain(
            delete_where(BranchItem, BranchItem.partition_of(chat_id), BranchItem.first <= until),
            delete_where(ForkItem, ForkItem.partition_of(chat_id), ForkItem.eldest <= until),
        )
