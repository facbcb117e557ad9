"""Open connections: greet one, post to one, close one, and forget one that is gone.

Every rule about a connection that does not answer is in this module:

- A frame for a connection that is gone (410) makes us forget the connection: its row is deleted.
- A greeting is different. A new connection answers 410 until its handshake is done, so a greeting is tried again for
  half a second, and once more by Lambda after a minute. The row stays. A row that is gone ends the tries.
- A connection that cannot be closed now keeps its row. Later frames, or the row's time to live, end it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from handlers.chat.concurrency import Runtime
from handlers.chat.delivery.gateway import Gateway
from handlers.chat.errors import ConnectionGone, NotOpenYet, PostFailed
from handlers.chat.log import logger
from handlers.chat.records import Chat, Connection
from handlers.chat.store import Store, StoreError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

GREETING_PAUSES_SECONDS = (0.02, 0.05, 0.1, 0.2)
"""Pauses between the tries of a greeting: a connection answers 410 until its `$connect` and the handshake are done."""

GREETING_SECONDS = 0.45
"""The time after which no further try of a greeting begins. A handshake is done some milliseconds after `$connect` has
returned, which is about when the first try begins. A client that gives its handshake up must not hold an environment
for longer: anybody can do that, at the rate of the stage's throttle."""

SESSION_GRACE = timedelta(minutes=1)
"""The time after the end of a session in which a client may still bring a new token. Then its connection is closed."""

HANDSHAKE_AGE = timedelta(seconds=40)
"""The age until which a connection that answers 410 may still be in its handshake. API Gateway waits 29 s for
`$connect` (docs/aws.md section 6), for a cold start or a slow database. Lambda's next try comes later, in a minute."""

MAX_CONNECTION_AGE = timedelta(hours=2)
"""API Gateway closes a connection at this age (docs/aws.md section 6)."""

MAX_DELAY_SECONDS = 900
"""The longest delay of a message in SQS (API reference of SendMessage, `DelaySeconds`)."""

MAX_LOOKS = 14
"""The most messages about one connection that follow each other. Lambda stops a chain of invocations through a queue
after 16 (docs/aws.md section 6). Eight are enough for 2 hours; the others are for sessions that end soon."""

MAX_EVICTIONS = 5
"""The most connections that one new connection evicts, if a user has many more than the limit."""


@dataclass(frozen=True, slots=True)
class OpenConnections:
    """The connections of this deployment: their rows in the store, and the gateway that reaches their clients.

    In log events `target_connection_id` is the connection that something is done to. `connection_id` is the one whose
    frame is being handled.
    """

    store: Store
    gateway: Gateway
    runtime: Runtime

    def greet(self, connection_id: str, text: bytes) -> None:
        """Post the first frame of a connection, as soon as the connection is open. Raises `PostFailed`, `StoreError`.

        It takes half a second at most if the connection is closed. Raises `NotOpenYet` if it may open later, which is
        only so while it has a row and is young.
        """
        began = self.runtime.monotonic()
        for tries, pause in enumerate((*GREETING_PAUSES_SECONDS, GREETING_SECONDS), 1):
            try:
                return self.gateway.post(connection_id, text)
            except ConnectionGone:
                # Not open yet, or closed already: the same answer. So the row stays, for `$disconnect` to delete.
                is_last = self.runtime.monotonic() + pause - began > GREETING_SECONDS
            if not is_last:
                self.runtime.sleep(pause)
            # Not before the second try, which mostly succeeds.
            if (is_last or tries > 1) and not self._may_open(connection_id):
                logger.info("connection_never_opened", target_connection_id=connection_id)
                return None
            if is_last:
                break
        raise NotOpenYet(f"The handshake of {connection_id} is not done after half a second. Lambda tries again.")

    def _may_open(self, connection_id: str) -> bool:
        """Return False if `$disconnect` has come, if `connect` has refused, or if no handshake takes so long."""
        connection = self.store.connections.get(connection_id)
        return connection is not None and self.runtime.now() < connection.connected_at + HANDSHAKE_AGE

    def subscribers(self, chat: Chat) -> Collection[str] | None:
        """Return the ids of the connections that are in a chat now, None if that cannot be read."""
        try:
            now = self.store.chats.watch(chat.user_id, chat.chat_id, certain=True)
        except StoreError:
            logger.exception("subscribers_not_read")
            return None
        return now.subscribers.keys() if now else ()

    def post_or_forget(self, connection_id: str, text: bytes) -> bool:
        """Post a frame, and forget the connection if it is gone. A frame that fails otherwise is only logged.

        Returns True if the frame was delivered. Raises `StoreError` if the row of a connection that is gone cannot be
        deleted.
        """
        try:
            self.gateway.post(connection_id, text)
        except ConnectionGone:
            logger.info("connection_gone", target_connection_id=connection_id)
            self.store.connections.forget(connection_id)
        except PostFailed as failure:
            logger.warning("post_failed", target_connection_id=connection_id, reason=str(failure))
        else:
            return True
        return False

    def forget(self, connection_id: str, chat: Chat | None = None) -> None:
        """Delete the row of a connection that is gone. If that fails, its time to live deletes it later.

        It is also unsubscribed from `chat`, if one is given. The row alone is not enough for that: it may be gone
        already, or may name another chat by now, while the subscription was left behind.
        """
        try:
            if chat is not None:
                self.store.chats.unsubscribe(chat.user_id, chat.chat_id, connection_id)
            self.store.connections.forget(connection_id)
        except StoreError:
            logger.exception("connection_not_forgotten", target_connection_id=connection_id)

    def close(self, connection_id: str) -> bool:
        """Close a connection, and return True if it was open. Its `$disconnect` forgets it. Raises `PostFailed`."""
        try:
            self.gateway.close(connection_id)
        except ConnectionGone:
            return False
        return True

    def close_and_forget(self, connection_id: str) -> bool:
        """Close a connection, and return True if it was open. Raises `PostFailed`."""
        # A connection whose handshake is not done cannot be closed: it answers 410, and opens later. Without a row it
        # has no user, and no frame of it is let through.
        is_open = self.close(connection_id)
        self.forget(connection_id)
        return is_open

    def evict(self, connection_id: str) -> None:
        """Close a connection, open or long gone, and forget it. One that cannot be closed now keeps its row."""
        try:
            self.close_and_forget(connection_id)
        except PostFailed as failure:
            logger.warning("connection_not_closed", target_connection_id=connection_id, reason=str(failure))

    def expire(self, connection_id: str, look: int, deadline: SessionDeadline) -> None:
        """Close and forget a connection whose time is over; look at another one later. `look` counts the looks at it.

        Raises `PostFailed`, `StoreError` and botocore's errors.
        """
        connection = self.store.connections.get(connection_id)
        if connection is None:
            return
        if deadline.is_over(connection, self.runtime.now()):
            self.close_and_forget(connection_id)
            logger.info("session_closed", target_connection_id=connection_id, user_id=connection.user_id)
        else:
            deadline.schedule(connection, self.runtime.now(), look + 1)


def connections_to_evict(store: Store, user_id: str, limit: int, now: datetime) -> Sequence[str]:
    """Return the connections that one more connection of a user evicts: the oldest ones.

    A `limit` of 0 means no limit, and costs no read. The new connection is never refused: a row whose connection is
    long gone must keep nobody out. The index that is read is some milliseconds late, so connections that open at the
    same moment may all be let in.
    """
    if not limit:
        return ()
    connections = store.connections.open_of_user(user_id, now)
    return connections[: max(0, min(len(connections) + 1 - limit, MAX_EVICTIONS))]


class SessionDeadline:
    """The time that a connection has: to authenticate, and then until its session ends.

    It is a message in a queue that is delayed by that time. A queue delays by 15 minutes at most, and a new token moves
    the end: then the message is sent once more. `seconds`, the time to authenticate, may be 0: then it has no end.
    """

    def __init__(self, client: SQSClient, queue_url: str, seconds: int) -> None:
        self._client = client
        self._queue_url = queue_url
        self._seconds = seconds

    def end_of(self, connection: Connection) -> datetime | None:
        """Return the moment at which a connection is to be closed, None if API Gateway closes it first."""
        end = connection.until + SESSION_GRACE if connection.until is not None else None
        if connection.user_id is None:
            end = connection.connected_at + timedelta(seconds=self._seconds) if self._seconds else None
        return end if end is not None and end < connection.connected_at + MAX_CONNECTION_AGE else None

    def is_over(self, connection: Connection, now: datetime) -> bool:
        """Return True if a connection is to be closed now."""
        end = self.end_of(connection)
        return end is not None and end <= now

    def schedule(self, connection: Connection, now: datetime, look: int = 1) -> None:
        """Let `expire` look at a connection when its time is over. Raises botocore's errors.

        `look` is the number of the look, `MAX_LOOKS` at most. A client may bring a new token for each short session.
        Then the last looks are 15 minutes apart, so that they last until API Gateway closes the connection.
        """
        end = self.end_of(connection)
        # Without an end it is looked at all the same, if it may still get one: an anonymous one that authenticates.
        oldest = connection.connected_at + MAX_CONNECTION_AGE
        left = (end or oldest) - now
        may_end = end is not None or connection.user_id is None
        if self._queue_url and may_end and left > timedelta(0) and look <= MAX_LOOKS:
            later = (oldest - now).total_seconds() - (MAX_LOOKS - look) * MAX_DELAY_SECONDS
            delay = min(MAX_DELAY_SECONDS, math.ceil(max(left.total_seconds(), later)))
            body = json.dumps({"connectionId": connection.connection_id, "look": look})
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=body, DelaySeconds=delay)

    @staticmethod
    def look_in(body: str) -> tuple[str, int]:
        """Return the id of the connection that a message of the queue is about, and the number of the look at it."""
        message = json.loads(body)
        return str(message["connectionId"]), int(message.get("look", 1))
