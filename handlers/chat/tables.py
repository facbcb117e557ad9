"""The DynamoDB tables as PynamoDB sees them. Only `store` uses this module.

The tables, their keys and indexes are made by `infra/template.yaml`, whose variables give their names.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pynamodb.attributes import (
    MapAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.connection import Connection, TableConnection
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model

from handlers.chat.aws import BOTOCORE_SESSION, CONNECT_TIMEOUT, READ_TIMEOUT, RETRIES

if TYPE_CHECKING:
    from botocore.session import Session


class _Connection(Connection):
    """PynamoDB's connection on the process's own session."""

    @property
    def session(self) -> Session:
        return BOTOCORE_SESSION


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
            CONNECTION.add_meta_table(table.connection.get_meta_table(table.table_name))
            table.connection = CONNECTION
        return table


class UserItem(_Table):
    """A user: made by an administrator, or by the emulator for `--users`."""

    class Meta:
        table_name = os.environ.get("USERS_TABLE", "users")

    user_id = UnicodeAttribute(hash_key=True, attr_name="userId")
    name = UnicodeAttribute(null=True)


class _ConnectionsByUser(GlobalSecondaryIndex["ConnectionItem"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "byUser"
        projection = KeysOnlyProjection()

    user_id = UnicodeAttribute(hash_key=True, attr_name="userId")
    connection_id = UnicodeAttribute(attr_name="connectionId")


class ConnectionItem(_Table):
    """An open connection. It dies by `$disconnect`, by the first 410, or by its TTL."""

    class Meta:
        table_name = os.environ.get("CONNECTIONS_TABLE", "connections")

    connection_id = UnicodeAttribute(hash_key=True, attr_name="connectionId")
    user_id = UnicodeAttribute(null=True, attr_name="userId")
    chat_id = UnicodeAttribute(null=True, attr_name="chatId")
    connected_at = UTCDateTimeAttribute(attr_name="connectedAt")
    expires_at = TTLAttribute(attr_name="expiresAt")
    by_user = _ConnectionsByUser()


class ChatItem(_Table):
    """A chat. `title` is absent until somebody, or the first exchange, gives one."""

    class Meta:
        table_name = os.environ.get("CHATS_TABLE", "chats")

    user_id = UnicodeAttribute(hash_key=True, attr_name="userId")
    chat_id = UnicodeAttribute(range_key=True, attr_name="chatId")
    title = UnicodeAttribute(null=True)
    message_count = NumberAttribute(attr_name="messageCount")
    subscribers = UnicodeSetAttribute(null=True)
    created_at = UTCDateTimeAttribute(attr_name="createdAt")
    updated_at = UTCDateTimeAttribute(attr_name="updatedAt")


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
