"""Who a frame is for, and getting it there: to a connection, to a user, to everyone.

The function `deliver` does the work. The others hand it a `Delivery` as the payload of an invocation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Self

from handlers.chat.concurrency import Runtime
from handlers.chat.delivery.gateway import Gateway
from handlers.chat.errors import ConnectionGone, PostFailed
from handlers.chat.log import logger
from handlers.chat.protocol import frames
from handlers.chat.protocol.frames import ServerFrame
from handlers.chat.store import Store, StoreError

SEGMENTS = 4
"""Into how many invocations a broadcast fans out. Each reads its share of the connections' table."""

GREETING_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between tries: a connection answers 410 until its `$connect` has returned and the handshake is done."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A frame, as its JSON object, and who it is for: one of `connection_id`, `user_id`, `segment`.

    A delivery to none of the three is for everyone.
    """

    frame: dict[str, Any]
    connection_id: str | None = None
    user_id: str | None = None
    segment: int | None = None

    @classmethod
    def of(cls, payload: dict[str, Any]) -> Self:
        """Read the payload of an invocation. Raises TypeError for one that is no delivery."""
        return cls(**payload)

    def payload(self) -> dict[str, Any]:
        """Return the payload of an invocation."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def to_connection(connection_id: str, frame: ServerFrame) -> Delivery:
    """Address a greeting to a connection that may not be open yet."""
    return Delivery(frames.as_json(frame), connection_id=connection_id)


def to_user(user_id: str, frame: ServerFrame) -> Delivery:
    """Address a frame to every connection of a user."""
    return Delivery(frames.as_json(frame), user_id=user_id)


def to_everyone(frame: ServerFrame) -> Delivery:
    """Address a frame to every connection there is."""
    return Delivery(frames.as_json(frame))


def deliver(
    delivery: Delivery,
    store: Store,
    gateway: Gateway,
    invoke: Callable[[dict[str, Any]], None],
    runtime: Runtime,
) -> None:
    """Send the frame to whom it is for. `invoke` starts a further invocation of this function.

    A broadcast is a star of invocations, one level deep: Lambda cuts chains of self-invocations after 16.
    """
    text = frames.encode(delivery.frame)
    if delivery.connection_id is not None:
        _greet(delivery.connection_id, text, gateway, runtime)
    elif delivery.user_id is not None or delivery.segment is not None:
        for connection_id in _recipients(delivery, store):
            _post(connection_id, text, store, gateway)
    else:
        for segment in range(SEGMENTS):
            invoke(Delivery(delivery.frame, segment=segment).payload())


def close(connection_id: str, store: Store, gateway: Gateway) -> None:
    """Close a connection and forget it, be it open or long gone. One that cannot be closed now keeps its row."""
    try:
        gateway.close(connection_id)
    except ConnectionGone:
        pass
    except PostFailed as failure:
        logger.warning("connection not closed", closed=connection_id, reason=str(failure))
        return
    try:
        store.connections.forget(connection_id)
    except StoreError:
        logger.exception("connection not forgotten: its row has a time to live", closed=connection_id)


def _recipients(delivery: Delivery, store: Store) -> Iterator[str]:
    if delivery.user_id is not None:
        return store.connections.of_user(delivery.user_id)
    return store.connections.in_segment(delivery.segment or 0, SEGMENTS)


def _post(connection_id: str, text: bytes, store: Store, gateway: Gateway) -> None:
    try:
        gateway.post(connection_id, text)
    except ConnectionGone:
        store.connections.forget(connection_id)
        logger.info("connection gone", connection_id=connection_id)
    except PostFailed as failure:
        logger.warning("frame not delivered", connection_id=connection_id, reason=str(failure))


def _greet(connection_id: str, text: bytes, gateway: Gateway, runtime: Runtime) -> None:
    for pause in GREETING_PAUSES:
        try:
            return gateway.post(connection_id, text)
        except ConnectionGone:
            runtime.sleep(pause)
    logger.info("connection never opened", connection_id=connection_id)
    return None
