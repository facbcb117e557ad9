"""What the client does about a frame, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


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


Action = Line | Stream | End | Resume
