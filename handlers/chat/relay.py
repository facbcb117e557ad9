"""The frames of a reply on their way to the connections that see its chat."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from handlers.chat import frames
from handlers.chat.errors import ConnectionGone, PostFailed
from handlers.chat.frames import ServerFrame
from handlers.chat.gateway import Gateway
from handlers.chat.log import logger


class Relay:
    """Posts each frame to each connection, in order.

    A connection that answers 410 gets nothing more and is named to `on_gone`. One that answers another error
    misses this frame only: the reply's last frame holds the whole text.
    """

    def __init__(self, gateway: Gateway, connections: Iterable[str], on_gone: Callable[[str], None]) -> None:
        self._gateway = gateway
        self._connections = set(connections)
        self._gone: set[str] = set()
        self._on_gone = on_gone

    def include(self, connections: Iterable[str]) -> None:
        """Send to these connections as well from now on, but for those that are known to be gone."""
        self._connections |= set(connections) - self._gone

    def send(self, frame: ServerFrame) -> None:
        """Post a frame to every connection."""
        text = frames.encode(frames.as_json(frame))
        for connection_id in tuple(self._connections):
            self._post(connection_id, text)

    def _post(self, connection_id: str, text: bytes) -> None:
        try:
            self._gateway.post(connection_id, text)
        except ConnectionGone:
            self._connections.discard(connection_id)
            self._gone.add(connection_id)
            self._on_gone(connection_id)
            logger.info("connection gone", connection_id=connection_id)
        except PostFailed as failure:
            logger.warning("frame not delivered", connection_id=connection_id, reason=str(failure))
