"""Messages of a chat as they fit: into a frame for a client, into a prompt for the model."""

from __future__ import annotations

from collections.abc import Iterable

from handlers.chat.errors import Refused
from handlers.chat.protocol import frames
from handlers.chat.protocol.frames import (
    AssistantMessageComplete,
    Cost,
    Error,
    FinishReason,
    MessageView,
    UserMessage,
)
from handlers.chat.records import Message

PAGE_BYTES = frames.LARGEST_FRAME - 2 * 1024
"""What a page of messages may take of a frame; the rest is for the title, the ids and the request id."""

MOST_MESSAGES = 100
"""Messages in a prompt. However short they are, a turn reads no more: its cost does not grow with the chat."""


def view(message: Message) -> MessageView:
    """Return a message as clients see it, without its text where that alone would overfill a page."""
    shown = MessageView(
        message_id=message.message_id,
        content=message.content,
        role=message.role,
        timestamp=frames.timestamp(message.timestamp),
        finish_reason=message.finish_reason,
    )
    if _size(shown) <= PAGE_BYTES:
        return shown
    return shown.model_copy(update={"content": None, "length": frames.utf16_length(message.content)})


def acknowledgement(message: Message, *, duplicate: bool) -> UserMessage:
    """Return the frame that says that a user message is stored; `duplicate` says that it was stored before already."""
    return UserMessage(
        message_id=message.message_id,
        content=message.content,
        timestamp=frames.timestamp(message.timestamp),
        chat_id=message.chat_id,
        client_message_id=message.client_message_id,
        duplicate=True if duplicate else None,
    )


def error(refusal: Refused, client_message_id: str | None) -> Error:
    """Return the frame that says why a request was refused. The client's own id of the message is repeated in it."""
    return Error(
        message=refusal.message,
        code=refusal.code,
        retry_after=refusal.retry_after,
        client_message_id=client_message_id,
    )


def complete(reply: Message, cost: Cost | None = None) -> AssistantMessageComplete:
    """Return the frame that ends a stored reply, without its text where that would overfill the frame."""
    frame = AssistantMessageComplete(
        message_id=reply.message_id,
        content=reply.content,
        timestamp=frames.timestamp(reply.timestamp),
        chat_id=reply.chat_id,
        attempt=reply.attempt,
        length=frames.utf16_length(reply.content),
        finish_reason=reply.finish_reason or FinishReason.STOP,
        usage=reply.usage,
        cost=cost,
    )
    if len(frames.encode(frames.as_json(frame))) <= frames.LARGEST_FRAME:
        return frame
    return frame.model_copy(update={"content": None})


def page(newest_first: Iterable[Message], limit: int) -> tuple[tuple[MessageView, ...], bool]:
    """Return at most `limit` messages that fit into one frame, oldest first, and whether there are more.

    Takes no more of `newest_first` than it needs, so a lazy query reads no more than is shown.
    """
    views: list[MessageView] = []
    size = 0
    for message in newest_first:
        shown = view(message)
        size += _size(shown)
        if len(views) == limit or size > PAGE_BYTES:
            return tuple(reversed(views)), True
        views.append(shown)
    return tuple(reversed(views)), False


def context(newest_first: Iterable[Message], budget: int) -> list[Message]:
    """Return the newest messages whose texts have at most `budget` characters together, oldest first.

    There are at most a hundred of them, and the newest is always among them: it is the question.
    """
    chosen: list[Message] = []
    for message in newest_first:
        budget -= len(message.content)
        if chosen and (budget < 0 or len(chosen) == MOST_MESSAGES):
            break
        chosen.append(message)
    return chosen[::-1]


def _size(shown: MessageView) -> int:
    return len(frames.encode(shown.model_dump(mode="json", by_alias=True))) + 1
