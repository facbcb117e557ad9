"""Actions of the client on a frame, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from parley.client.frames import Frame


class Style(Enum):
    """Style of a line, in rich's terms."""

    NOTE = "dim"
    ERROR = "red"
    USER = "cyan"
    REPLY = "none"


@dataclass(frozen=True, slots=True)
class Line:
    """Show a text on lines of its own."""

    text: str
    style: Style = Style.NOTE


@dataclass(frozen=True, slots=True)
class Stream:
    """Show a piece of the reply."""

    text: str


@dataclass(frozen=True, slots=True)
class End:
    """End the reply; it is complete."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Join the chat again with `resume`: pieces of the reply are missing."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a frame."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask the server to cancel a reply. None if only the server knows which one is running."""

    message_id: str | None


Action = Line | Stream | End | Resume | Send | Cancel
