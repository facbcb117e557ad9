"""Life of a WebSocket connection, without I/O: times go in, deadlines and closes come out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from parley.gateway.events import Handshake
from parley.gateway.quotas import BINARY, FRAME_SIZE, IDLE, LIFETIME, Limit, TimeLimits


class ConnectionState(Enum):
    """Phase of a connection's life."""

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Close:
    """End of a connection: code and reason for the client and `$disconnect`, and the cause for the log.

    `limit` is the limit of AWS that ended the connection, if any.
    """

    code: int
    reason: str
    cause: str
    limit: Limit | None = None


GOING_AWAY = "Going away"
UNSUPPORTED = Close(1003, "", "a binary frame", BINARY)
LOST = Close(1006, "", "the network connection was lost")
REMOVED = Close(1001, GOING_AWAY, "the template has its stage no longer")
RESET = Close(1001, GOING_AWAY, "a test has reset the emulator")
"""The end of a connection that a test has left open. Nothing follows from it: no `$disconnect`, no trace event."""

DELETED = Close(1000, "Connection Closed Normally", "DELETE @connections")


class Connection:
    """A connection's phase and deadlines. All times are seconds since the epoch.

    A connection accepts posts while it is OPEN: not before its `$connect` has returned, and not after its end.
    """

    def __init__(self, handshake: Handshake, limits: TimeLimits) -> None:
        self.handshake = handshake
        self.state = ConnectionState.CONNECTING
        self.last_active_at = handshake.connected_at
        self.subprotocol: str | None = None
        self._limits = limits

    def mark_open(self, now: float, subprotocol: str | None = None) -> None:
        """Record the end of the handshake, and the subprotocol that was chosen."""
        self.state = ConnectionState.OPEN
        self.last_active_at = now
        self.subprotocol = subprotocol

    def mark_active(self, now: float) -> None:
        """Record a message in either direction."""
        self.last_active_at = now

    def mark_closed(self) -> None:
        """Record the end of the connection."""
        self.state = ConnectionState.CLOSED

    def deadline(self) -> float:
        """Return the time at which the gateway closes the connection if no message comes before."""
        return min(self.last_active_at + self._limits.idle, self.handshake.connected_at + self._limits.connection)

    def seconds_left(self, now: float) -> tuple[float, float]:
        """Return the seconds until the connection is closed because it is idle, and because it is too old."""
        return (
            self.last_active_at + self._limits.idle - now,
            self.handshake.connected_at + self._limits.connection - now,
        )

    def due_close(self, now: float) -> Close | None:
        """Return the close that is due now, or None."""
        if now >= self.handshake.connected_at + self._limits.connection:
            return Close(1001, GOING_AWAY, f"open for {self._limits.connection:g} s", LIFETIME)
        if now >= self.last_active_at + self._limits.idle:
            return Close(1001, GOING_AWAY, f"idle for {self._limits.idle:g} s", IDLE)
        return None


def closed_by_client(code: int, reason: str) -> Close:
    """Return the end of a connection that the client closed, or that the WebSocket library closed because of it."""
    match code:
        case 1005:
            return Close(1005, "Client-side close frame status not set", "the client closed it")
        case 1006:
            return Close(1006, reason, "the network connection was lost")
        case 1007:
            return Close(1007, reason, "a text frame was not UTF-8")
        case 1009:
            return Close(1009, reason, "a frame or a message was too large", FRAME_SIZE)
        case _:
            return Close(code, reason, "the client closed it")
