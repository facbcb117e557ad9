"""A turn: one user message and the reply to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from handlers.chat.errors import ChatMissing, ErrorCode, Refused
from handlers.chat.frames import Role
from handlers.chat.store import Message, Store

TITLE_CHARS = 50


@dataclass(frozen=True, slots=True)
class Turn:
    """A reply to be made, as it is handed to the worker. `message_id` is the reply's, fixed from the start."""

    user_id: str
    chat_id: str
    message_id: str

    @classmethod
    def of(cls, payload: dict[str, Any]) -> Self:
        """Read the payload of an invocation. Raises TypeError for one that is no turn."""
        return cls(**payload)

    def payload(self) -> dict[str, Any]:
        """Return the payload of an invocation: ids only, so a dead letter holds no text."""
        return asdict(self)


def accept(
    store: Store,
    user_id: str,
    chat_id: str,
    text: str,
    client_message_id: str | None,
    now: datetime,
    new_id: Callable[[], str],
) -> tuple[Message, Turn]:
    """Store a user's message and fix the id of its reply. Raises `Refused` with `chat_not_found`."""
    message = Message(chat_id, new_id(), Role.USER, text, now, client_message_id)
    try:
        store.accept(user_id, message)
    except ChatMissing:
        raise Refused(ErrorCode.CHAT_NOT_FOUND) from None
    return message, Turn(user_id, chat_id, new_id())


def title_of(text: str) -> str:
    """Return the title that a chat gets from its first message."""
    return text[:TITLE_CHARS] + ("..." if len(text) > TITLE_CHARS else "")
