"""Open connections: the user that each belongs to, and the chat that it sees.

Every write of a row has a condition on the user, the chat and the session with which the row was read. So of two
frames that arrive at once, the second one to write is refused, and decides again on what the first one wrote.

A connection's subscription is in the item of its chat. It changes in the same transaction as the row: if a chat has a
subscription, the row of that connection has the chat, the chat's user, and the same end of the session.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from pynamodb.expressions.update import Action
from pynamodb.pagination import ResultIterator

from handlers.chat.records import Connection
from handlers.chat.store.pages import Page
from handlers.chat.store.tables import UNTIL, ChatItem, ConnectionItem, kept_end
from handlers.chat.store.writes import Write, checking, delete, deleting, put, transact, update, updating

CONNECTION_LIFETIME = timedelta(hours=2, minutes=10)
"""API Gateway ends a connection after 2 hours (docs/aws.md section 6). A row that is older missed its `$disconnect`."""

_MAX_TRIES = 10


class Connections:
    """The table of connections."""

    def add(self, connection: Connection) -> None:
        """Keep a new connection. Does nothing if it has a row already."""
        item = ConnectionItem(
            connection_id=connection.connection_id,
            user_id=connection.user_id,
            connected_at=connection.connected_at,
            until=connection.until,
            expires_at=connection.connected_at + CONNECTION_LIFETIME,
        )
        put(item, ConnectionItem.connection_id.does_not_exist())

    def get(self, connection_id: str) -> Connection | None:
        """Return a connection, None if it has no row, or none any more."""
        try:
            return ConnectionItem.get(connection_id, consistent_read=True).connection()
        except ConnectionItem.DoesNotExist:
            return None

    def rebind(self, before: Connection, after: Connection) -> bool:
        """Give a connection another user, chat or session. Returns False if its row is no longer `before`.

        Its subscription to a chat that it leaves ends. If it stays, the subscription gets the new end of the session.
        """
        actions = [
            _setting(attribute, value)
            for attribute, value in (
                (ConnectionItem.user_id, after.user_id),
                (ConnectionItem.chat_id, after.chat_id),
                (ConnectionItem.until, after.until),
            )
        ]
        item, condition = ConnectionItem(before.connection_id), ConnectionItem.is_still(before)
        if before.chat_id is None:
            return update(item, actions, condition)
        entry = ChatItem.subscribers[before.connection_id]
        stays = (before.user_id, before.chat_id) == (after.user_id, after.chat_id)
        change = _setting(entry[UNTIL], kept_end(after.until)) if stays else entry.remove()
        return self._write_both(before, updating(item, actions, condition), change)

    def forget(self, connection_id: str) -> None:
        """Take a connection out of its chat and delete its row. Does nothing if it has no row any more."""
        # A try is lost only to a frame that changed the row, and a connection that is gone sends no more frames.
        for _ in range(_MAX_TRIES):
            connection = self.get(connection_id)
            if connection is None or self._delete(connection):
                return

    def _delete(self, connection: Connection) -> bool:
        item, condition = ConnectionItem(connection.connection_id), ConnectionItem.is_still(connection)
        if connection.chat_id is None:
            return delete(item, condition)
        change = ChatItem.subscribers[connection.connection_id].remove()
        return self._write_both(connection, deleting(item, condition), change)

    def _write_both(self, before: Connection, row: Write, change: Action) -> bool:
        """Write the row of a connection that is in a chat, and change its subscription there, if it has one."""
        chat, entry = ChatItem(before.user_id, before.chat_id), ChatItem.subscribers[before.connection_id]
        if transact([row, updating(chat, [change], entry.exists())]):
            return True
        # It is not subscribed yet, or its chat is deleted. The check keeps it so until the row is written.
        return transact([row, checking(chat, entry.does_not_exist())])

    def of_user(self, user_id: str) -> Iterator[str]:
        """Yield the ids of a user's connections from the index, which is some milliseconds late."""
        for item in ConnectionItem.by_user.query(user_id):
            yield item.connection_id

    def open_of_user(self, user_id: str, now: datetime) -> list[str]:
        """Return the ids of a user's connections that may still be open, the oldest first, from the same index."""
        rows = [(item.connected_at, item.connection_id) for item in ConnectionItem.by_user.query(user_id)]
        return [
            connection_id for connected_at, connection_id in sorted(rows) if connected_at + CONNECTION_LIFETIME > now
        ]

    def page_of_user(self, user_id: str, after: str | None, limit: int) -> Page[str]:
        """Return ids of a user's connections from the index, those that follow `after` in its order.

        The cursor is the id to go on after. Its connection may be gone by then.
        """
        key = {"userId": {"S": user_id}, "connectionId": {"S": after}} if after else None
        found = ConnectionItem.by_user.query(user_id, limit=limit, last_evaluated_key=key)
        ids = tuple(item.connection_id for item in found)
        return Page(ids, _cursor(found))

    def page_of_segment(self, segment: int, segments: int, after: str | None, limit: int) -> Page[Connection]:
        """Return connections in one segment (from 0) of the table, those that follow `after` in the table's order.

        A change of the last moment may be missing. The cursor is as that of `page_of_user`.
        """
        key = {"connectionId": {"S": after}} if after else None
        found = ConnectionItem.scan(segment=segment, total_segments=segments, limit=limit, last_evaluated_key=key)
        connections = tuple(item.connection() for item in found)
        return Page(connections, _cursor(found))


def _cursor(found: ResultIterator[Any]) -> str | None:
    key = found.last_evaluated_key
    return str(key["connectionId"]["S"]) if key else None


def _setting(attribute: Any, value: object) -> Action:
    action: Action = attribute.remove() if value is None else attribute.set(value)
    return action
