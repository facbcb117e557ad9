"""Relays of replies, as a worker needs them: of a turn, or to announce a stored reply again."""

from __future__ import annotations

from handlers.chat.concurrency import Runtime
from handlers.chat.connections import OpenConnections
from handlers.chat.protocol.frames import AssistantMessageStart
from handlers.chat.records import Announcement, Chat, Turn
from handlers.chat.replies.attempt import ReplySettings
from handlers.chat.replies.relay import Relay


def relay_of(
    chat: Chat,
    work: Turn | Announcement,
    attempt: int,
    connections: OpenConnections,
    settings: ReplySettings,
    runtime: Runtime,
) -> Relay:
    """Return the relay of one attempt's reply, with its start frame: of a turn, or to announce it again."""
    start = AssistantMessageStart(
        message=settings.texts.typing,
        message_id=work.message_id,
        chat_id=chat.chat_id,
        attempt=attempt,
        replaces=work.replaces,
    )

    return Relay(
        connections.gateway,
        start,
        lambda gone: connections.forget(gone, chat),
        runtime,
        settings.pace,
        lambda: connections.subscribers(chat),
    )
