"""Connections that are in a chat, put there without a frame."""

from __future__ import annotations

from dataclasses import replace

from handlers.chat.records import Connection, Subscription
from handlers.chat.store import Store
from handlers.chat.store.tables import ConnectionItem


def bind(store: Store, name: str, user_id: str, chat_id: str | None) -> Connection:
    """Give the row of a connection a user and a chat, without a subscription."""
    before = store.connections.get(name)
    assert before is not None
    after = replace(before, user_id=user_id, chat_id=chat_id)
    assert store.connections.rebind(before, after)
    return after


def subscribe(
    store: Store, name: str, subscription: Subscription, user_id: str = "alice", chat_id: str = "chat"
) -> None:
    """Put a connection into a chat and subscribe it, until the end of its session."""
    connection, chat = bind(store, name, user_id, chat_id), store.chats.get(user_id, chat_id)
    assert chat is not None
    assert store.chats.subscribe(connection, chat, replace(subscription, until=connection.until))


def leave_behind(store: Store, name: str, connection: Connection) -> None:
    """Leave a subscription without a row: its time to live has deleted the row."""
    store.connections.add(connection)
    subscribe(store, name, Subscription("first"))
    ConnectionItem(name).delete()
