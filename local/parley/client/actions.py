"""What the client does about a frame, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from parley.client.frames import Frame


class Style(Enum):
    """How a line looks, in rich's words."""

    NOTE = "dim"
    ERROR = "red"
    USER = "cyan"
    REPLY = "none"


@dataclass(frozen=True, slots=True)
class Line:
    """Show something on lines of its own."""

    text: str
    style: Style = Style.NOTE


@dataclass(frozen=True, slots=True)
class Stream:
    """Show a piece of the reply."""

    text: str


@dataclass(frozen=True, slots=True)
class End:
    """The reply is complete."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Pieces are missing: join the chat again and say what is here."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send this frame."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask for a reply to end; None where only the server knows which one runs."""

    message_id: str | None


Action = Line | Stream | End | Resume | Send | Cancel
