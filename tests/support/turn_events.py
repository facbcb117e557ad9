"""The events of a turn of the Python client, as a person sees them."""

from __future__ import annotations

from collections.abc import Iterable

from parley.client import Part, ReplyEvent, ReplyPart, ReplyRestarted, ReplyText


def shown(events: Iterable[ReplyEvent]) -> tuple[str, tuple[Part, ...]]:
    """Return the text and the parts that are shown at the end, the parts in the order in which they came."""
    text, parts = "", dict[int, Part]()
    for event in events:
        match event:
            case ReplyText(_, piece):
                text += piece
            case ReplyPart(_, part):
                parts[part.index] = part
            case ReplyRestarted():
                text, parts = "", {}
    return text, tuple(parts.values())
