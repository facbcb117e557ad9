"""Deliveries: a greeting, a frame for a user, a frame for everyone.

A frame for everyone is a star of `SEGMENTS` chains of invocations, one for a user is one chain. An invocation of a
chain posts to one page of connections, and then hands the rest on to the next, with the last connection that it has
served. The payload of an invocation never covers more than its page. So one that dies is tried again by Lambda from
where it began: nobody is left out, and a page at most hears the frame twice. The chains, not the number of
connections, decide how many invocations run at once and how many posts they make in a second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from handlers.chat.connections import OpenConnections
from handlers.chat.delivery.delivery import Delivery
from handlers.chat.delivery.side_by_side import Pace, SideBySide
from handlers.chat.log import logger
from handlers.chat.protocol import frames
from handlers.chat.records import Connection
from handlers.chat.store import StoreError
from handlers.chat.store.pages import Page

SEGMENTS = 4
"""The number of chains that share a broadcast. Each reads its part of the connections' table."""

PAGE_CONNECTIONS = 500
"""The most connections that one invocation serves, and that hear a frame twice if it dies."""

PACE = Pace(at_once=8, per_second=250)
"""The posts of one invocation. All chains of a broadcast together take 1,000 requests a second: a tenth of the quota
that the account's APIs share (docs/aws.md section 6), so that chats go on."""

POST_TRIES = 8
"""The most tries of a post that API Gateway throttles or fails: over 3.5 to 7 seconds."""

RESERVE_SECONDS = 20.0
"""The rest of a function's time at which it hands on what is left of its page. A post takes less, with all tries."""

MAX_PARTS = 20_000
"""The most invocations of a chain: 10 million connections. Lambda does not watch over this chain (`RecursiveLoop` in
the template), so this number ends one that a fault of ours would make endless."""


@dataclass(frozen=True, slots=True)
class Deliverer:
    """Delivers frames to the connections of this deployment.

    `connections` has a gateway that gives a throttled post up soon, `patient_connections` one that tries `POST_TRIES`
    times: others wait behind a greeting, nobody behind a broadcast.
    """

    connections: OpenConnections
    patient_connections: OpenConnections

    def deliver(
        self,
        delivery: Delivery,
        invocation_id: str,
        invoke: Callable[[dict[str, Any]], None],
        remaining: Callable[[], float],
    ) -> None:
        """Send a frame to its receivers. `invoke` starts a further invocation, `remaining` returns this one's seconds.

        `invocation_id` is the same when Lambda tries an invocation again. A frame for a user or for everyone goes to no
        connection without a user, and to none whose session has ended. Raises `StoreError` and what `invoke` raises.
        Then Lambda tries the delivery again.
        """
        if delivery.connection_id is not None:
            self.connections.greet(delivery.connection_id, frames.encode(delivery.frame))
            return
        delivery = replace(delivery, frame=frames.with_notice_id(delivery.frame, invocation_id))
        if delivery.user_id is not None or delivery.segment is not None:
            following = self._deliver_page(delivery, remaining)
            if following is not None:
                invoke(following.payload())
        else:
            for segment in range(SEGMENTS):
                invoke(replace(delivery, segment=segment).payload())

    def _deliver_page(self, delivery: Delivery, remaining: Callable[[], float]) -> Delivery | None:
        """Send a frame to the next page of its receivers. Return the delivery to the rest, None if there is none."""
        text = frames.encode(delivery.frame)
        page = self._page(delivery)
        receivers: Sequence[str | Connection] = page.items
        served = SideBySide(
            receivers,
            lambda receiver: self._tell(delivery, receiver, text),
            PACE,
            lambda: remaining() > RESERVE_SECONDS,
            self.connections.runtime,
        ).run()
        after = page.cursor if served == len(receivers) else _id_of(receivers[served - 1])
        logger.info("part_delivered", segment=delivery.segment, part=delivery.part, connections=served)
        if after is None:
            return None
        if delivery.part + 1 >= MAX_PARTS:
            logger.error("delivery_too_long", segment=delivery.segment, part=delivery.part)
            return None
        return replace(delivery, after=after, part=delivery.part + 1)

    def _page(self, delivery: Delivery) -> Page[str] | Page[Connection]:
        rows = self.connections.store.connections
        if delivery.user_id is not None:
            return rows.page_of_user(delivery.user_id, delivery.after, PAGE_CONNECTIONS)
        return rows.page_of_segment(delivery.segment or 0, SEGMENTS, delivery.after, PAGE_CONNECTIONS)

    def _tell(self, delivery: Delivery, receiver: str | Connection, text: bytes) -> None:
        """Post to a receiver that may hear the frame, asked just before its post: a page takes a while."""
        connection = receiver if isinstance(receiver, Connection) else self._connection_of(delivery, receiver)
        if connection is None or not connection.may_hear(self.connections.runtime.now()):
            return
        try:
            self.patient_connections.post_or_forget(connection.connection_id, text)
        except StoreError:
            # The connection is gone and its row is not. Its time to live, or the next frame, deletes it.
            logger.exception("connection_not_forgotten", target_connection_id=connection.connection_id)

    def _connection_of(self, delivery: Delivery, connection_id: str) -> Connection | None:
        # The index is late, and does not hold the end of a session. The row tells whose connection it is by now.
        connection = self.connections.store.connections.get(connection_id)
        return connection if connection is not None and connection.user_id == delivery.user_id else None


def _id_of(receiver: str | Connection) -> str:
    return receiver if isinstance(receiver, str) else receiver.connection_id
