"""The life of one WebSocket connection, without any I/O: moments and frames go in, deadlines and closes come out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from parley.gateway.events import Handshake
from parley.gateway.quotas import BINARY, FRAME_SIZE, IDLE, LIFETIME, Limit, TimeLimits


class ConnectionState(Enum):
    """Where a connection is in its life."""

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Close:
    """How a connection ends: what the client sees, what `$disconnect` is told, and why, for the log.

    `limit` is the limit of AWS's that ended it, if one did.
    """

    code: int
    reason: str
    cause: str
    limit: Limit | None = None


GOING_AWAY = "Going away"
UNSUPPORTED = Close(1003, "", "a binary frame", BINARY)
LOST = Close(1006, "", "the network connection was lost")
DELETED = Close(1000, "Connection Closed Normally", "DELETE @connections")


class Connection:
    """A connection and its clock. All moments are seconds since the epoch.

    A connection can be posted to while it is OPEN: neither before its `$connect` has returned, nor after its end.
    """

    def __init__(self, handshake: Handshake, limits: TimeLimits) -> None:
        self.handshake = handshake
        self.state = ConnectionState.CONNECTING
        self.last_active_at = handshake.connected_at
        self._limits = limits

    def mark_open(self, now: float) -> None:
        """Note that the handshake is done."""
        self.state = ConnectionState.OPEN
        self.last_active_at = now

    def mark_active(self, now: float) -> None:
        """Note that a message went either way."""
        self.last_active_at = now

    def mark_closed(self) -> None:
        """Note that the connection ended."""
        self.state = ConnectionState.CLOSED

    def deadline(self) -> float:
        """Return the moment at which, if nothing happens until then, the gateway closes the connection."""
        return min(self.last_active_at + self._limits.idle, self.handshake.connected_at + self._limits.connection)

    def due_close(self, now: float) -> Close | None:
        """Return how the gateway closes the connection now, None while it may stay open."""
        if now >= self.handshake.connected_at + self._limits.connection:
            return Close(1001, GOING_AWAY, f"open for {self._limits.connection:g} s", LIFETIME)
        if now >= self.last_active_at + self._limits.idle:
            return Close(1001, GOING_AWAY, f"idle for {self._limits.idle:g} s", IDLE)
        return None


def closed_by_client(code: int, reason: str) -> Close:
    """Return how a connection ended that the client, or the WebSocket library on its behalf, closed."""
    match code:
        case 1005:
            return Close(1005, "Client-side close frame status not set", "the client closed it")
        case 1006:
            return Close(1006, reason, "the network connection was lost")
        case 1007:
            return Close(1007, reason, "a text frame that is not UTF-8")
        case 1009:
            return Close(1009, reason, "a frame or a message that is too large", FRAME_SIZE)
        case _:
            return Close(code, reason, "the client closed it")
