"""Feedback of users on replies: their rating on the message, and all of it in a list for administrators.

The list has a partition for each month of replies, beside the messages. A reply has one place in it, so the last
feedback counts, and who deletes the reply knows where that is.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Self

from pynamodb.attributes import UnicodeAttribute, UTCDateTimeAttribute

from handlers.chat.records import Feedback, Message, Rating
from handlers.chat.store.dynamodb import Table
from handlers.chat.store.pages import Page, cursor_of, keys_in
from handlers.chat.store.tables import ChatItem, MessageItem
from handlers.chat.store.writes import checking, deleting, putting, transact, updating


class FeedbackItem(Table):
    """The feedback on one reply, in the list of a month."""

    class Meta:
        table_name = os.environ.get("MESSAGES_TABLE", "messages")

    partition = UnicodeAttribute(hash_key=True, attr_name="chatId")
    key = UnicodeAttribute(range_key=True, attr_name="messageId")
    user_id = UnicodeAttribute(attr_name="userId", null=True)
    rating = UnicodeAttribute(null=True)
    text = UnicodeAttribute(null=True)
    given_at = UTCDateTimeAttribute(attr_name="givenAt", null=True)

    @classmethod
    def at(cls, chat_id: str, message_id: str, timestamp: datetime) -> Self:
        """Return the place of the feedback on a reply of this time. Ids sort by time; no chat's id has a space."""
        return cls(partition_of(f"{timestamp:%Y-%m}"), f"{message_id} {chat_id}")

    def feedback(self) -> Feedback:
        """Return the feedback."""
        message_id, _, chat_id = self.key.partition(" ")
        return Feedback(self.user_id, chat_id, message_id, Rating(self.rating), self.text, self.given_at)


def partition_of(month: str) -> str:
    """Return the partition of a month, written as 2026-11. No chat's id begins with `#`."""
    return f"#feedback#{month}"


class Feedbacks:
    """The feedback of users."""

    def give(self, feedback: Feedback, reply: Message) -> bool:
        """Keep the feedback on a reply, instead of any before. Returns False if the reply or its chat is gone."""
        item = FeedbackItem.at(reply.chat_id, reply.message_id, reply.timestamp)
        item.user_id, item.rating, item.text = feedback.user_id, feedback.rating.value, feedback.text
        item.given_at = feedback.given_at
        rated = MessageItem.feedback.set(feedback.rating.value)
        # The chat is deleted before its messages: then nothing is left behind in the list.
        chat = checking(ChatItem(feedback.user_id, reply.chat_id), ChatItem.chat_id.exists())
        message = MessageItem(reply.chat_id, reply.message_id)
        return transact([chat, updating(message, [rated], MessageItem.message_id.exists()), putting(item)])

    def remove(self, reply: Message) -> bool:
        """Remove the feedback on a reply, if there is any. Returns False if the reply is gone."""
        message = MessageItem(reply.chat_id, reply.message_id)
        unrated = updating(message, [MessageItem.feedback.remove()], MessageItem.message_id.exists())
        return transact([unrated, deleting(FeedbackItem.at(reply.chat_id, reply.message_id, reply.timestamp))])

    def page(self, month: str, limit: int, cursor: str | None) -> Page[Feedback]:
        """Return the feedback on the replies of a month (2026-11), that on the newest reply first.

        Raises `Refused` with `invalid_format` for a bad cursor.
        """
        until = FeedbackItem.key < keys_in(cursor, 1)[0] if cursor is not None else None
        query = FeedbackItem.query(
            partition_of(month), until, scan_index_forward=False, limit=limit + 1, page_size=limit + 1
        )
        found = list(query)
        last = found[limit - 1] if len(found) > limit else None
        return Page(tuple(each.feedback() for each in found[:limit]), cursor_of(last.key) if last else None)
