"""What is kept, and the operations on it. Callers see dataclasses, never DynamoDB.

Every update carries the condition that its item exists: DynamoDB's UpdateItem creates what is missing, and a
deleted chat or connection must not come back to life.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pynamodb.exceptions import PutError, PynamoDBException, TransactWriteError, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from handlers.chat.errors import ChatMissing
from handlers.chat.frames import FinishReason, Role, Usage
from handlers.chat.tables import CONNECTION, ChatItem, ConnectionItem, MessageItem, UsageMap, UserItem

StoreError = PynamoDBException
"""DynamoDB did not do what it was asked to, after the client's own retries."""

CONNECTION_LIFETIME = timedelta(hours=2, minutes=10)
"""API Gateway ends a connection after 2 hours; what still has a row then missed its `$disconnect`."""

_PAGE = 20
_CONDITION_FAILED = "ConditionalCheckFailedException"
_CONFLICT = "TransactionConflict"


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection, whose it is, and the chat that it sees."""

    connection_id: str
    connected_at: datetime
    user_id: str | None = None
    chat_id: str | None = None


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat of one user. `title` is None until it has one; `subscribers` are the ids of the connections in it."""

    user_id: str
    chat_id: str
    title: str | None = None
    message_count: int = 0
    subscribers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Message:
    """A stored message. `finish_reason` and `usage` belong to the assistant's."""

    chat_id: str
    message_id: str
    role: Role
    content: str
    timestamp: datetime
    client_message_id: str | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


class Store:
    """The four tables. Every operation may raise `StoreError`."""

    # Users

    def user_exists(self, user_id: str) -> bool:
        """Tell whether this user is known."""
        return self._user(user_id) is not None

    def user_name(self, user_id: str) -> str | None:
        """Return the user's name for display, None for an unknown user or one without a name."""
        item = self._user(user_id)
        return item.name if item else None

    def _user(self, user_id: str) -> UserItem | None:
        try:
            return UserItem.get(user_id)
        except UserItem.DoesNotExist:
            return None

    # Connections

    def add_connection(self, connection: Connection) -> None:
        """Keep a new connection."""
        ConnectionItem(
            connection_id=connection.connection_id,
            user_id=connection.user_id,
            connected_at=connection.connected_at,
            expires_at=connection.connected_at + CONNECTION_LIFETIME,
        ).save()

    def connection(self, connection_id: str) -> Connection | None:
        """Return a connection, None where it has no row (any more)."""
        try:
            item = ConnectionItem.get(connection_id, consistent_read=True)
        except ConnectionItem.DoesNotExist:
            return None
        return Connection(item.connection_id, item.connected_at, item.user_id, item.chat_id)

    def bind_connection(self, connection_id: str, user_id: str, chat_id: str | None) -> bool:
        """Say whose a connection is and which chat it sees. Returns False where the connection is gone."""
        chat = ConnectionItem.chat_id.set(chat_id) if chat_id else ConnectionItem.chat_id.remove()
        return _update(
            ConnectionItem(connection_id),
            [ConnectionItem.user_id.set(user_id), chat],
            ConnectionItem.connection_id.exists(),
        )

    def forget_connection(self, connection_id: str) -> None:
        """Take a connection out of its chat and forget it. Does nothing where it is forgotten already."""
        connection = self.connection(connection_id)
        if connection is None:
            return
        if connection.user_id and connection.chat_id:
            self.unsubscribe(connection.user_id, connection.chat_id, connection_id)
        ConnectionItem(connection_id).delete()

    def connections_of(self, user_id: str) -> Iterator[str]:
        """Yield the ids of a user's connections, as the index knows them: some milliseconds late."""
        for item in ConnectionItem.by_user.query(user_id):
            yield item.connection_id

    def connections_in(self, segment: int, segments: int) -> Iterator[str]:
        """Yield the ids of all connections in one segment (from 0) of the table."""
        for item in ConnectionItem.scan(segment=segment, total_segments=segments, attributes_to_get=["connectionId"]):
            yield item.connection_id

    # Chats

    def add_chat(self, chat: Chat, now: datetime) -> Chat:
        """Keep a new chat and return it; where one with this id exists, return that one unchanged."""
        item = ChatItem(
            chat.user_id,
            chat.chat_id,
            title=chat.title,
            message_count=0,
            created_at=now,
            updated_at=now,
        )
        try:
            item.save(ChatItem.chat_id.does_not_exist())
        except PutError as error:
            existing = self.chat(chat.user_id, chat.chat_id)
            if error.cause_response_code != _CONDITION_FAILED or existing is None:
                raise
            return existing
        return chat

    def chat(self, user_id: str, chat_id: str) -> Chat | None:
        """Return a chat of this user, read consistently; None for one that is not there or not theirs."""
        try:
            item = ChatItem.get(user_id, chat_id, consistent_read=True)
        except ChatItem.DoesNotExist:
            return None
        return Chat(
            item.user_id,
            item.chat_id,
            item.title,
            int(item.message_count),
            frozenset(item.subscribers or ()),
        )

    def subscribe(self, user_id: str, chat_id: str, connection_id: str) -> bool:
        """Let a connection see a chat. Returns False where the chat is gone."""
        return self._update_chat(user_id, chat_id, ChatItem.subscribers.add({connection_id}))

    def unsubscribe(self, user_id: str, chat_id: str, connection_id: str) -> bool:
        """Let a connection no longer see a chat. Returns False where the chat is gone."""
        return self._update_chat(user_id, chat_id, ChatItem.subscribers.delete({connection_id}))

    def _update_chat(self, user_id: str, chat_id: str, action: Action) -> bool:
        return _update(ChatItem(user_id, chat_id), [action], ChatItem.chat_id.exists())

    # Messages

    def messages(self, chat_id: str, before: str | None = None) -> Iterator[Message]:
        """Yield a chat's messages, the newest first, those older than `before` where it is given.

        Lazy: a page of the table is read when the caller gets there.
        """
        older = MessageItem.message_id < before if before else None
        for item in MessageItem.query(chat_id, older, consistent_read=True, scan_index_forward=False, page_size=_PAGE):
            yield _message(item)

    def message(self, chat_id: str, message_id: str) -> Message | None:
        """Return one message, None where it is not stored."""
        try:
            return _message(MessageItem.get(chat_id, message_id, consistent_read=True))
        except MessageItem.DoesNotExist:
            return None

    def accept(self, user_id: str, message: Message) -> None:
        """Store a user's message and count it in its chat, both or neither. Raises `ChatMissing`."""
        self._add_message(user_id, message, [])

    def seal(self, user_id: str, reply: Message, title: str | None) -> Message:
        """Store a reply and count it in its chat, both or neither, with a title for a chat that has none.

        Returns the stored reply: where another invocation was first, that one's. Raises `ChatMissing`.
        """
        titles = [ChatItem.title.set(ChatItem.title | title)] if title else []
        try:
            self._add_message(user_id, reply, titles)
        except TransactWriteError:
            sealed = self.message(reply.chat_id, reply.message_id)
            if sealed is None:
                raise
            return sealed
        return reply

    def _add_message(self, user_id: str, message: Message, actions: Sequence[Action]) -> None:
        counted: list[Action] = [
            ChatItem.message_count.add(1),
            ChatItem.updated_at.set(message.timestamp),
            *actions,
        ]

        def transaction() -> None:
            with TransactWrite(connection=CONNECTION) as write:
                write.save(_item(message), MessageItem.message_id.does_not_exist())
                write.update(ChatItem(user_id, message.chat_id), counted, ChatItem.chat_id.exists())

        try:
            _retry_conflicts(transaction)
        except TransactWriteError:
            if self.chat(user_id, message.chat_id) is None:
                raise ChatMissing(message.chat_id) from None
            raise


def _retry_conflicts(transaction: Callable[[], None]) -> None:
    """Run a transaction again, up to three times, where another one was at the same item."""
    for pause in (0.02, 0.05, 0.1):
        try:
            return transaction()
        except TransactWriteError as error:
            if not any(reason and reason.code == _CONFLICT for reason in error.cancellation_reasons):
                raise
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
    return transaction()


def _update(item: Model, actions: list[Action], condition: Condition) -> bool:
    try:
        item.update(actions, condition)
    except UpdateError as error:
        if error.cause_response_code != _CONDITION_FAILED:
            raise
        return False
    return True


def _item(message: Message) -> MessageItem:
    usage = message.usage
    return MessageItem(
        message.chat_id,
        message.message_id,
        role=message.role.value,
        content=message.content,
        timestamp=message.timestamp,
        client_message_id=message.client_message_id,
        finish_reason=message.finish_reason and message.finish_reason.value,
        usage=UsageMap(**usage.model_dump()) if usage else None,  # type: ignore[no-untyped-call]
    )


def _message(item: MessageItem) -> Message:
    usage: UsageMap | None = item.usage
    return Message(
        chat_id=item.chat_id,
        message_id=item.message_id,
        role=Role(item.role),
        content=item.content,
        timestamp=item.timestamp,
        client_message_id=item.client_message_id,
        finish_reason=FinishReason(item.finish_reason) if item.finish_reason else None,
        usage=_usage(usage) if usage is not None else None,
    )


def _usage(usage: UsageMap) -> Usage:
    return Usage(prompt_tokens=int(usage.prompt_tokens), completion_tokens=int(usage.completion_tokens))
