"""The export of a chat as a file, and the messages of a chat that fit into one answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import quote

from handlers.chat.protocol.attachments import view
from handlers.chat.protocol.parts import placed
from handlers.chat.records import DEFAULT_ASSISTANT, Message, Role
from handlers.http.schemas import Export

MAX_RESPONSE_BYTES = 2_500_000
"""Bytes of JSON. They become a text in the JSON of Lambda's answer. That may double them, and is limited to 6 MB."""

_MESSAGE_OVERHEAD_BYTES = 300
"""The JSON of a message beside its text."""

_NAMES = {Role.USER: "User", Role.ASSISTANT: "Assistant"}
_MAX_NAME_CHARS = 80


def within(messages: Iterable[Message], limit: int | None = None) -> tuple[list[Message], bool]:
    """Return as many messages as fit into one answer, `limit` at most, and True if there are more.

    It takes no more messages than it needs, so a lazy query reads no more than is shown. One message always fits.
    """
    fitting: list[Message] = []
    size = 0
    for message in messages:
        views = (*map(placed, message.parts), *map(view, message.attachments))
        content = [message.content, *(each.as_data() for each in views)]
        size += len(json.dumps(content, ensure_ascii=False).encode()) + _MESSAGE_OVERHEAD_BYTES
        if len(fitting) == limit or (fitting and size > MAX_RESPONSE_BYTES):
            return fitting, True
        fitting.append(message)
    return fitting, False


def markdown(export: Export) -> str:
    """Return a chat as Markdown. The texts are unchanged: a program that renders them must not trust them."""
    parts = [f"# {' '.join(export.chat.title.split())}"]
    if export.chat.assistant != DEFAULT_ASSISTANT:
        parts.append(f"Assistant: {export.chat.assistant}")
    times = {message.message_id: message.timestamp for message in export.messages}
    for message in export.messages:
        parts.append(f"## {_NAMES[message.role]}, {message.timestamp}")
        if message.after is not None:
            parts.append(f"*Another branch, after {times.get(message.after, 'nothing')}*")
        parts.append(message.content)
        files = message.attachments or ()
        parts += [f"{each.name} ({each.type}): /chats/{export.chat.chat_id}/attachments/{each.id}" for each in files]
    return "\n\n".join(parts) + "\n"


def file_name(title: str, ending: str) -> dict[str, str]:
    """Return the header that names the file after its chat (RFC 6266: an ASCII name for old clients too)."""
    name = "".join("_" if character in '/\\:*?"<>|' else character for character in title[:_MAX_NAME_CHARS])
    encoded = quote(f"{' '.join(name.split()).strip('.') or 'chat'}.{ending}", safe="")
    return {"Content-Disposition": f"attachment; filename=\"chat.{ending}\"; filename*=UTF-8''{encoded}"}
