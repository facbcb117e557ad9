"""The DynamoDB tables as PynamoDB sees them. Only `store` uses this module.

The tables, their keys and indexes are made by `infra/template.yaml`, whose variables give their names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from pynamodb.attributes import (
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.connection import Connection, TableConnection
from pynamodb.exceptions import TableError
from pynamodb.indexes import GlobalSecondaryIndex, IncludeProjection
from pynamodb.models import Model

from handlers.chat import capacity
from handlers.chat.aws import BOTOCORE_SESSION, CONNECT_TIMEOUT, READ_TIMEOUT, RETRIES
from handlers.chat.limits.policy import QuotaUsage, ReplySlot
from handlers.chat.protocol.frames import FinishReason, Resume, Role, Usage
from handlers.chat.records import Chat, Message, Subscription, Turn, User

if TYPE_CHECKING:
    from botocore.session import Session


class _Connection(Connection):
    """PynamoDB's connection on the process's own session, with the units of its answers counted."""

    @property
    def session(self) -> Session:
        return BOTOCORE_SESSION

    def dispatch(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = super().dispatch(operation_name, operation_kwargs)
        capacity.count(operation_name, answer or {})
        return answer


CONNECTION = _Connection(
    connect_timeout_seconds=CONNECT_TIMEOUT,
    read_timeout_seconds=READ_TIMEOUT,
    max_retry_attempts=RETRIES,
)
"""Shared by all tables: left to itself, PynamoDB makes a session and a client for each."""


class _Table(Model):
    @classmethod
    def _get_connection(cls) -> TableConnection:
        table = super()._get_connection()
        if table.connection is not CONNECTION:
            _share(table)
        return table


def _share(table: TableConnection) -> None:
    """Put a table on the shared connection. Two models may have the same table, and so the same keys."""
    try:
        CONNECTION.get_meta_table(table.table_name)
    except TableError:
        CONNECTION.add_meta_table(table.connection.get_meta_table(table.table_name))
    table.connection = CONNECTION


class QuotaUsageMap(MapAttribute[str, Any]):
    """A user's use of quotas, on the user's item."""

    day = UnicodeAttribute()
    messages = NumberAttribute()
    full_at = NumberAttribute(attr_name="fullAt")
    slots: MapAttribute[str, Any] = MapAttribute(attr_name="places")  # type: ignore[no-untyped-call]

    @classmethod
    def of(cls, usage: QuotaUsage) -> Self:
        """Return the map of a usage."""
        slots = {
            chat_id: {"since": slot.since} | ({"after": slot.last_message_id} if slot.last_message_id else {})
            for chat_id, slot in usage.slots.items()
        }
        return cls(day=usage.day, messages=usage.messages, full_at=usage.full_at, slots=slots)

    def usage(self) -> QuotaUsage:
        """Return the usage."""
        kept: dict[str, dict[str, Any]] = self.slots.as_dict()  # type: ignore[no-untyped-call]
        slots = {chat_id: ReplySlot(int(slot["since"]), slot.get("after")) for chat_id, slot in kept.items()}
        return QuotaUsage(self.day, int(self.messages), int(self.full_at), slots)


class UserItem(_Table):
    """A user: made by an administrator, or by the emulator for `--users`."""

    class Meta:
        table_name = os.environ.get("USERS_TABLE", "users")

    user_id = UnicodeAttribute(hash_key=True, attr_name="userId")
    name = UnicodeAttribute(null=True)
    roles: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, null=True)
    disabled = BooleanAttribute(null=True)
    created_at = UTCDateTimeAttribute(null=True, attr_name="createdAt")
    quota_usage = QuotaUsageMap(null=True, attr_name="spent")  # type: ignore[no-untyped-call]

    def user(self) -> User:
        """Return the user."""
        return User(self.user_id, self.name, frozenset(self.roles or ()), bool(self.disabled), self.created_at)


QUOTA_USAGE: Any = UserItem.quota_usage
"""The usage in conditions. PynamoDB's types take a map's attributes for their values there, so it has no type."""


class _ConnectionsByUser(GlobalSecondaryIndex["ConnectionItem"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "byUser"
        projection = IncludeProjection(["connectedAt"])

    user_id = UnicodeAttribute(hash_key=True, attr_name="userId")
    connection_id = UnicodeAttribute(attr_name="connectionId")
    connected_at = UTCDateTimeAttribute(attr_name="connectedAt")


class ConnectionItem(_Table):
    """An open connection. It dies by `$disconnect`, by the first 410, or by its TTL."""

    class Meta:
        table_name = os.environ.get("CONNECTIONS_TABLE", "connections")

    connection_id = UnicodeAttribute(hash_key=True, attr_name="connectionId")
    user_id = UnicodeAttribute(null=True, attr_name="userId")
    chat_id = UnicodeAttribute(null=True, attr_name="chatId")
    connected_at = UTCDateTimeAttribute(attr_name="connectedAt")
    until = UTCDateTimeAttribute(null=True, attr_name="authenticatedUntil")
    expires_at = TTLAttribute(attr_name="expiresAt")
    by_user = _ConnectionsByUser()


class TurnMap(MapAttribute[str, Any]):
    """The turn on its chat."""

    message_id = UnicodeAttribute(attr_name="messageId")
    lease_until = UTCDateTimeAttribute(attr_name="leaseUntil")
    attempt = NumberAttribute()
    worker = UnicodeAttribute(null=True)
    cancelled = BooleanAttribute(null=True)
    sealed = BooleanAttribute(null=True)
    replaces = UnicodeAttribute(null=True)

    @classmethod
    def of(cls, turn: Turn) -> Self:
        """Return what is kept of a turn."""
        return cls(
            message_id=turn.message_id,
            lease_until=turn.lease_until,
            attempt=turn.attempt,
            worker=turn.worker or None,
            cancelled=turn.cancelled or None,
            sealed=turn.sealed or None,
            replaces=turn.replaces,
        )

    def turn(self) -> Turn:
        """Return the turn that is kept."""
        return Turn(
            message_id=self.message_id,
            lease_until=self.lease_until,
            attempt=int(self.attempt),
            worker=self.worker or "",
            cancelled=bool(self.cancelled),
            sealed=bool(self.sealed),
            replaces=self.replaces,
        )


class _ChatsByUpdatedAt(GlobalSecondaryIndex["ChatItem"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "byUpdatedAt"
        projection = IncludeProjection(["title"])

    user_id = UnicodeAttribute(hash_key=True, attr_name="userId")
    updated_at = UTCDateTimeAttribute(range_key=True, attr_name="updatedAt")


class ChatItem(_Table):
    """A chat. `title` is absent until somebody, or the first exchange, gives one.

    `subscribers` maps a connection's id to its subscription, so that each comes and goes by an update of its own.
    """

    class Meta:
        table_name = os.environ.get("CHATS_TABLE", "chats")

    user_id = UnicodeAttribute(hash_key=True, attr_name="userId")
    chat_id = UnicodeAttribute(range_key=True, attr_name="chatId")
    title = UnicodeAttribute(null=True)
    message_count = NumberAttribute(attr_name="messageCount")
    subscribers: MapAttribute[str, Any] = MapAttribute()  # type: ignore[no-untyped-call]
    last_message_id = UnicodeAttribute(null=True, attr_name="lastMessageId")
    turn = TurnMap(null=True)  # type: ignore[no-untyped-call]
    created_at = UTCDateTimeAttribute(attr_name="createdAt")
    updated_at = UTCDateTimeAttribute(attr_name="updatedAt")
    by_updated_at = _ChatsByUpdatedAt()

    def chat(self) -> Chat:
        """Return the chat that is kept."""
        turn: TurnMap | None = self.turn
        return Chat(
            user_id=self.user_id,
            chat_id=self.chat_id,
            title=self.title,
            message_count=int(self.message_count),
            subscribers={name: _subscription(kept) for name, kept in self._subscribers()},
            last_message_id=self.last_message_id,
            turn=turn.turn() if turn is not None else None,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )

    def _subscribers(self) -> Iterable[tuple[str, dict[str, Any]]]:
        return self.subscribers.as_dict().items()  # type: ignore[no-untyped-call, no-any-return]


TURN: Any = ChatItem.turn
"""The turn in conditions and updates, without a type, as `QUOTA_USAGE`."""


def kept_subscription(subscription: Subscription) -> dict[str, Any]:
    """Return what is kept of a subscription."""
    resume = subscription.resume
    kept: dict[str, Any] = {"join": subscription.join, "shown": subscription.shown}
    if resume is not None:
        kept["resume"] = resume.model_dump(by_alias=True, exclude_none=True)
    return {name: value for name, value in kept.items() if value is not None}


def _subscription(kept: dict[str, Any]) -> Subscription:
    resume = kept.get("resume")
    return Subscription(kept["join"], Resume.model_validate(resume) if resume else None, kept.get("shown"))


class UsageMap(MapAttribute[str, int]):
    """The tokens of a reply."""

    prompt_tokens = NumberAttribute(attr_name="promptTokens")
    completion_tokens = NumberAttribute(attr_name="completionTokens")


class MessageItem(_Table):
    """A message of a chat, under an id that sorts by time."""

    class Meta:
        table_name = os.environ.get("MESSAGES_TABLE", "messages")

    chat_id = UnicodeAttribute(hash_key=True, attr_name="chatId")
    message_id = UnicodeAttribute(range_key=True, attr_name="messageId")
    role = UnicodeAttribute()
    content = UnicodeAttribute()
    timestamp = UTCDateTimeAttribute()
    client_message_id = UnicodeAttribute(null=True, attr_name="clientMessageId")
    finish_reason = UnicodeAttribute(null=True, attr_name="finishReason")
    usage = UsageMap(null=True)  # type: ignore[no-untyped-call]
    attempt = NumberAttribute(null=True)

    @classmethod
    def of(cls, message: Message) -> Self:
        """Return what is kept of a message."""
        usage = message.usage
        return cls(
            message.chat_id,
            message.message_id,
            role=message.role.value,
            content=message.content,
            timestamp=message.timestamp,
            client_message_id=message.client_message_id,
            finish_reason=message.finish_reason and message.finish_reason.value,
            usage=UsageMap(**usage.model_dump()) if usage else None,  # type: ignore[no-untyped-call]
            attempt=message.attempt if message.role is Role.ASSISTANT else None,
        )

    def message(self) -> Message:
        """Return the message that is kept."""
        usage: UsageMap | None = self.usage
        return Message(
            chat_id=self.chat_id,
            message_id=self.message_id,
            role=Role(self.role),
            content=self.content,
            timestamp=self.timestamp,
            client_message_id=self.client_message_id,
            finish_reason=FinishReason(self.finish_reason) if self.finish_reason else None,
            usage=_usage(usage) if usage is not None else None,
            attempt=int(self.attempt or 1),
        )


def _usage(usage: UsageMap) -> Usage:
    return Usage(prompt_tokens=int(usage.prompt_tokens), completion_tokens=int(usage.completion_tokens))


class SentItem(_Table):
    """A marker in a partition of its own beside a chat's messages: which message a `clientMessageId` was stored as.

    It never expires: the same message sent again a year later is still the same message.
    """

    class Meta:
        table_name = os.environ.get("MESSAGES_TABLE", "messages")

    partition = UnicodeAttribute(hash_key=True, attr_name="chatId")
    client_message_id = UnicodeAttribute(range_key=True, attr_name="messageId")
    sent_as = UnicodeAttribute(attr_name="sentAs")

    @staticmethod
    def partition_of(chat_id: str) -> str:
        """Return the partition of a chat's markers. No chat's id holds a `#`."""
        return f"{chat_id}#sent"


class TokensItem(_Table):
    """The model's tokens that a user's replies took on one day, in a partition of its own beside the messages.

    Not on the user: a seal must neither need that item nor wait for it, and every day begins at 0 by itself.
    """

    class Meta:
        table_name = os.environ.get("MESSAGES_TABLE", "messages")

    partition = UnicodeAttribute(hash_key=True, attr_name="chatId")
    day = UnicodeAttribute(range_key=True, attr_name="messageId")
    tokens = NumberAttribute()

    @staticmethod
    def partition_of(user_id: str) -> str:
        """Return the partition of a user's days. No chat's id begins with a `#`."""
        return f"#tokens#{user_id}"
