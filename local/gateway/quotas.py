"""The limits of API Gateway's WebSocket APIs (its quotas page, AWS.md sections 3 to 6)."""

from __future__ import annotations

from dataclasses import dataclass

FRAME_BYTES = 32 * 1024
"""The largest frame from a client; a larger one closes the connection with 1009."""

MESSAGE_BYTES = 128 * 1024
"""The largest message from a client, of one frame or many, and the largest post to a connection."""


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds: without data either way, of a connection's whole life, and for an integration's answer."""

    idle: float = 600.0
    connection: float = 7200.0
    integration: float = 29.0
