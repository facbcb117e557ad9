"""How much of a chat fits into an answer, and a chat as a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import quote

from handlers.chat.records import Message, Role
from handlers.http.schemas import Export

LARGEST_ANSWER = 2_500_000
"""Bytes of JSON. It becomes a text in the JSON of Lambda's answer, which may double it, and that holds 6 MB."""

_AROUND_A_MESSAGE = 300
"""Bytes: what a message has beside its text."""

_NAMES = {Role.USER: "User", Role.ASSISTANT: "Assistant"}
_LONGEST_NAME = 80


def within(messages: Iterable[Message], limit: int | None = None) -> tuple[list[Message], bool]:
    """Return as many of the messages as fit into an answer, `limit` at most, and whether there are more.

    Takes no more of them than it needs, so a lazy query reads no more than is shown. One always fits.
    """
    fitting: list[Message] = []
    size = 0
    for message in messages:
        size += len(json.dumps(message.content, ensure_ascii=False).encode()) + _AROUND_A_MESSAGE
        if len(fitting) == limit or (fitting and size > LARGEST_ANSWER):
            return fitting, True
        fitting.append(message)
    return fitting, False


def markdown(export: Export) -> str:
    """Return a chat as Markdown. The texts are as they were written: whoever renders them must not trust them."""
    parts = [f"# {' '.join(export.chat.title.split())}"]
    for message in export.messages:
        parts += [f"## {_NAMES[message.role]}, {message.timestamp}", message.content]
    return "\n\n".join(parts) + "\n"


def file_name(title: str, ending: str) -> dict[str, str]:
    """Return the header that names a file after its chat (RFC 6266: ASCII for old clients, and the whole name)."""
    name = "".join("_" if character in '/\\:*?"<>|' else character for character in title[:_LONGEST_NAME])
    encoded = quote(f"{' '.join(name.split()).strip('.') or 'chat'}.{ending}", safe="")
    return {"Content-Disposition": f"attachment; filename=\"chat.{ending}\"; filename*=UTF-8''{encoded}"}
