"""Chats, and the connections that are subscribed to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pynamodb.attributes import UTCDateTimeAttribute
from pynamodb.exceptions import DeleteError, PutError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from handlers.chat.records import Chat, Connection, Subscription
from handlers.chat.store.pages import Page, bad_cursor, cursor_of, keys_in
from handlers.chat.store.tables import TURN, ChatItem, ConnectionItem, kept_subscription
from handlers.chat.store.writes import CONDITION_FAILED, checking, transact, update, updating

_TIME: Any = UTCDateTimeAttribute()

_WATCHED = ["userId", "chatId", "subscribers", "turn"]
"""The attributes that a worker looks at while a reply is made."""


class Chats:
    """The table of chats."""

    def add(self, chat: Chat, now: datetime) -> Chat:
        """Keep a new chat and return it. If one with this id exists, return that one unchanged."""
        item = ChatItem(
            chat.user_id,
            chat.chat_id,
            title=chat.title,
            message_count=0,
            subscribers={name: kept_subscription(each) for name, each in chat.subscribers.items()},
            assistant=chat.assistant,
            created_at=now,
            updated_at=now,
        )
        try:
            item.save(ChatItem.chat_id.does_not_exist())
        except PutError as error:
            exists = error.cause_response_code == CONDITION_FAILED
            if exists and (existing := self.get(chat.user_id, chat.chat_id)):
                return existing
            raise
        return chat

    def get(self, user_id: str, chat_id: str) -> Chat | None:
        """Return a chat of this user, None if it does not exist or is another user's."""
        try:
            item = ChatItem.get(user_id, chat_id, consistent_read=True)
        except ChatItem.DoesNotExist:
            return None
        return item.chat()

    def watch(self, user_id: str, chat_id: str, *, certain: bool) -> Chat | None:
        """Return a chat of this user with its turn and its subscribers only, None if it does not exist.

        If it need not be `certain`, the read costs half, and may miss the writes of the last moments: it comes from a
        replica that may be late. A later one may then show an older chat than an earlier one.
        """
        # Fewer attributes make a smaller answer, not a cheaper one: DynamoDB charges for the size of the item.
        try:
            item = ChatItem.get(user_id, chat_id, consistent_read=certain, attributes_to_get=_WATCHED)
        except ChatItem.DoesNotExist:
            return None
        chat = item.chat()
        return Chat(user_id, chat_id, subscribers=chat.subscribers, turn=chat.turn)

    def page(self, user_id: str, limit: int, cursor: str | None) -> Page[Chat]:
        """Return a user's chats from an index that is some milliseconds late, the one asked in last first.

        A chat here has its id, title and `updated_at` only. Raises `Refused` with `invalid_format` for a bad cursor.
        """
        start = _start_key(user_id, cursor) if cursor is not None else None
        query = ChatItem.by_updated_at.query(
            user_id, scan_index_forward=False, last_evaluated_key=start, limit=limit + 1, page_size=limit + 1
        )
        found = [Chat(user_id, item.chat_id, item.title, updated_at=item.updated_at) for item in query]
        last = found[limit - 1] if len(found) > limit else None
        return Page(tuple(found[:limit]), cursor_of(_TIME.serialize(last.updated_at), last.chat_id) if last else None)

    def with_assistants(self, chats: Sequence[Chat]) -> tuple[Chat, ...]:
        """Return chats of a page with their assistants, which the index does not have. A read may be a moment late."""
        # The projection of an index cannot be changed, and another index would cost each turn more writes.
        keys = [(chat.user_id, chat.chat_id) for chat in chats]
        found = ChatItem.batch_get(keys, attributes_to_get=["userId", "chatId", "assistant"])
        named = {item.chat_id: item.assistant for item in found}
        return tuple(replace(chat, assistant=named.get(chat.chat_id)) for chat in chats)

    def count(self, user_id: str) -> int:
        """Return how many chats a user has, from an index that is some milliseconds late."""
        return ChatItem.by_updated_at.count(user_id)

    def rename(self, user_id: str, chat_id: str, title: str) -> Chat | None:
        """Give a chat a title, and return it, None if it does not exist or is another user's."""
        return update_chat(user_id, chat_id, [ChatItem.title.set(title)], ChatItem.chat_id.exists())

    def delete(self, user_id: str, chat_id: str, created_at: datetime) -> Chat | None:
        """Delete a chat and return it as it was, None if it is gone or was made at another time.

        A client may make another chat under the same id: `created_at` tells them apart. From then on nothing can be
        written to the chat, because every write has a condition on this item.
        """
        try:
            answer = ChatItem._get_connection().delete_item(
                user_id, chat_id, condition=ChatItem.created_at == created_at, return_values="ALL_OLD"
            )
        except DeleteError as error:
            if error.cause_response_code != CONDITION_FAILED:
                raise
            return None
        return ChatItem.from_raw_data(answer["Attributes"]).chat()

    def subscribe(self, connection: Connection, chat: Chat, subscription: Subscription) -> bool:
        """Let a connection hear a chat. `chat` is the chat as it was shown to the client.

        Returns False if the connection's row is no longer `connection`, if the chat is gone, or if a message or a reply
        came after it was shown. Then it has to be shown again: nobody sends what came in between.
        """
        # One transaction: a row that goes to another user or chat at the same moment must not leave a subscription
        # behind. The condition on the chat is that of its newest turn too. After the seal the worker reads the
        # subscribers once more, and announces the reply to those. A connection that was shown the chat before the seal
        # and subscribes after that read would never hear of the reply.
        entry = ChatItem.subscribers[connection.connection_id].set(kept_subscription(subscription))
        writes = [
            checking(ConnectionItem(connection.connection_id), ConnectionItem.is_still(connection)),
            updating(ChatItem(chat.user_id, chat.chat_id), [entry, ChatItem.joins.add(1)], _is_as_shown(chat)),
        ]
        return transact(writes)

    def unsubscribe(self, user_id: str, chat_id: str, connection_id: str) -> None:
        """Let a connection no longer see a chat. Does nothing if the chat is gone."""
        entry = ChatItem.subscribers[connection_id].remove()
        update_chat(user_id, chat_id, [entry], ChatItem.chat_id.exists())


def update_chat(user_id: str, chat_id: str, actions: list[Action], condition: Condition) -> Chat | None:
    """Change a chat and return it, None if the condition does not hold."""
    item = ChatItem(user_id, chat_id)
    return item.chat() if update(item, actions, condition) else None


def has_branches_of(chat: Chat) -> Condition:
    """Return the condition that no branch was begun or selected since a chat was read: no other leaf, no other fork."""
    condition: Condition = ChatItem.branches == chat.branches if chat.branches else ChatItem.branches.does_not_exist()
    return condition


def _is_as_shown(chat: Chat) -> Condition:
    """Return the condition that a chat has the messages, the path and the running turn with which it was read."""
    last, turn = chat.last_message_id, chat.turn
    condition: Condition = ChatItem.chat_id.exists() & (ChatItem.message_count == chat.message_count)
    condition &= ChatItem.last_message_id.does_not_exist() if last is None else ChatItem.last_message_id == last
    condition &= has_branches_of(chat)
    if turn is None:
        condition &= ChatItem.turn.does_not_exist()
    else:
        condition &= TURN.message_id == turn.message_id
    return condition


def _start_key(user_id: str, cursor: str) -> dict[str, dict[str, str]]:
    updated_at, chat_id = keys_in(cursor, 2)
    try:
        moment = datetime.fromisoformat(updated_at).astimezone(UTC)
    except (ValueError, OverflowError):
        raise bad_cursor() from None
    return {"userId": {"S": user_id}, "updatedAt": {"S": _TIME.serialize(moment)}, "chatId": {"S": chat_id}}
