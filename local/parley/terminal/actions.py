"""Actions of the terminal on an event, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


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


Action = Line | Stream | End
