"""Open connections: the user that each belongs to, and the chat that it sees."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from handlers.chat.records import Connection
from handlers.chat.store.chats import Chats
from handlers.chat.store.tables import ConnectionItem
from handlers.chat.store.writes import update

CONNECTION_LIFETIME = timedelta(hours=2, minutes=10)
"""API Gateway ends a connection after 2 hours (docs/aws.md section 6). A row that is older missed its `$disconnect`."""


class Connections:
    """The table of connections."""

    def __init__(self, chats: Chats) -> None:
        self._chats = chats

    def add(self, connection: Connection) -> None:
        """Keep a new connection."""
        ConnectionItem(
            connection_id=connection.connection_id,
            user_id=connection.user_id,
            connected_at=connection.connected_at,
            until=connection.until,
            expires_at=connection.connected_at + CONNECTION_LIFETIME,
        ).save()

    def get(self, connection_id: str) -> Connection | None:
        """Return a connection, None if it has no row, or none any more."""
        try:
            item = ConnectionItem.get(connection_id, consistent_read=True)
        except ConnectionItem.DoesNotExist:
            return None
        return Connection(item.connection_id, item.connected_at, item.user_id, item.chat_id, item.until)

    def bind(self, connection_id: str, user_id: str, chat_id: str | None, until: datetime | None = None) -> bool:
        """Set the user of a connection, the chat that it sees and, with a new token, the end of that token.

        Returns False if the connection is gone.
        """
        renewed = [ConnectionItem.until.set(until)] if until else []
        chat = ConnectionItem.chat_id.set(chat_id) if chat_id else ConnectionItem.chat_id.remove()
        return update(
            ConnectionItem(connection_id),
            [ConnectionItem.user_id.set(user_id), chat, *renewed],
            ConnectionItem.connection_id.exists(),
        )

    def forget(self, connection_id: str) -> None:
        """Take a connection out of its chat and delete its row. Does nothing if it has no row any more."""
        connection = self.get(connection_id)
        if connection is None:
            return
        # The row goes last: if this fails in between, the next try still knows the chat.
        if connection.user_id and connection.chat_id:
            self._chats.unsubscribe(connection.user_id, connection.chat_id, connection_id)
        ConnectionItem(connection_id).delete()

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

    def in_segment(self, segment: int, segments: int) -> Iterator[str]:
        """Yield the ids of all connections in one segment (from 0) of the table."""
        for item in ConnectionItem.scan(segment=segment, total_segments=segments, attributes_to_get=["connectionId"]):
            yield item.connection_id
