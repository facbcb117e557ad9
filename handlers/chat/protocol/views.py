"""Views: stored messages and refusals as frames, cut to the size of a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from handlers.chat.errors import Refused
from handlers.chat.protocol import attachments, frames, parts
from handlers.chat.protocol.frames import (
    AssistantMessageComplete,
    AssistantView,
    Cost,
    Error,
    MessageView,
    TokenUsage,
    UserMessage,
)
from handlers.chat.records import NOTHING, FinishReason, Message

MAX_PAGE_BYTES = frames.MAX_FRAME_BYTES - 2 * 1024
"""The share of a frame that a page of messages may take. The rest is for the title, the ids and the request id."""

MAX_PAGE_MESSAGES = 50
"""The messages in a page whose client names no number. There are fewer if they do not fit into one frame."""

FULL_BYTES = 1024
"""The room that is left in a full page. A look at whether one more message fits costs more than it shows."""


def assistants(listed: Iterable[AssistantView]) -> tuple[AssistantView, ...]:
    """Return the first assistants of a list, as many as fit into the greeting of a connection."""
    fitting: list[AssistantView] = []
    size = 0
    for each in listed:
        size += len(frames.encode(each.as_data())) + 1
        if size > MAX_PAGE_BYTES:
            break
        fitting.append(each)
    return tuple(fitting)


def view(message: Message) -> MessageView:
    """Return a message as clients see it, without its parts or its text if the message is larger than a page."""
    shown = _fullest_view(message)
    if _bytes(shown) <= MAX_PAGE_BYTES:
        return shown
    return replace(shown, content=None, length=frames.utf16_length(message.content))


def acknowledgement(message: Message, *, duplicate: bool, replaces: str | None = None) -> UserMessage:
    """Return the frame that says that a user message is stored, or with `duplicate`, that it was stored before.

    An edited one replaces the message with the id `replaces`.
    """
    return UserMessage(
        message_id=message.message_id,
        content=message.content,
        timestamp=frames.timestamp(message.timestamp),
        chat_id=message.chat_id,
        client_message_id=message.client_message_id,
        duplicate=True if duplicate else None,
        attachments=attachments.views(message.attachments),
        replaces=replaces,
    )


def error(refusal: Refused, client_message_id: str | None) -> Error:
    """Return the frame of a refusal. It repeats the client's own id of the message."""
    return Error(
        message=refusal.message,
        code=refusal.code,
        retry_after=refusal.retry_after,
        client_message_id=client_message_id,
    )


def complete(reply: Message, cost: Cost | None = None) -> AssistantMessageComplete:
    """Return the frame that ends a stored reply, without its text if the frame would be too large."""
    usage = reply.usage
    frame = AssistantMessageComplete(
        message_id=reply.message_id,
        content=reply.content,
        timestamp=frames.timestamp(reply.timestamp),
        chat_id=reply.chat_id,
        attempt=reply.attempt,
        length=frames.utf16_length(reply.content),
        finish_reason=reply.finish_reason or FinishReason.STOP,
        usage=TokenUsage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)
        if usage
        else None,
        cost=cost,
        part_count=len(reply.parts) or None,
    )
    if len(frames.encode(frames.as_json(frame))) <= frames.MAX_FRAME_BYTES:
        return frame
    return replace(frame, content=None)


def bytes_in_page(message: Message) -> int:
    """Return the bytes that a message takes in a page with all of its text, and with its parts if they fit too."""
    return _bytes(_fullest_view(message))


def page(
    newest_first: Iterable[Message],
    limit: int,
    has_older: Callable[[str], bool],
    siblings: Callable[[Sequence[Message]], Mapping[str, tuple[str, ...]]] = lambda shown: {},
) -> tuple[tuple[MessageView, ...], bool]:
    """Return the newest messages that fit into one frame, at most `limit`, oldest first, and True if there are more.

    `siblings` returns the siblings of the messages that have some.
    """
    shown: list[Message] = []
    fitting, older = _fitting(_noting(newest_first, shown), limit, has_older)
    found = siblings(shown[: len(fitting)]) if fitting else {}
    views = [replace(each, siblings=found.get(each.message_id)) for each in fitting]
    while found and sum(map(_bytes, views)) > MAX_PAGE_BYTES:
        if len(views) == 1:
            # A message that fills the page is shown without them, rather than not at all.
            return tuple(fitting[:1]), older
        del views[-1]
        older = True
    return tuple(reversed(views)), older


def _noting(messages: Iterable[Message], shown: list[Message]) -> Iterator[Message]:
    """Yield messages, and put them into a list."""
    for message in messages:
        shown.append(message)
        yield message


def _fitting(
    newest_first: Iterable[Message], limit: int, has_older: Callable[[str], bool]
) -> tuple[list[MessageView], bool]:
    """Return the newest messages that fit into one frame, at most `limit`, newest first, and True if there are more."""
    # `newest_first` reads the table as we go, and a read is charged by what it returns. So this takes no message
    # that it does not show: the newest one says how many fit, or else one turns out not to fit. `has_older` is the
    # cheap way to know of one more, if the message itself does not say it.
    views: list[MessageView] = []
    size, full = 0, MAX_PAGE_BYTES - FULL_BYTES
    for message in newest_first:
        shown = view(message)
        size += _bytes(shown)
        if size > MAX_PAGE_BYTES:
            return views, True
        if not views and message.page:
            full = MAX_PAGE_BYTES
            limit = min(limit, message.page) if message.page < MAX_PAGE_MESSAGES else limit
        views.append(shown)
        if len(views) == limit or size > full:
            return views, _has_older(message, has_older)
    return views, False


def _has_older(message: Message, has_older: Callable[[str], bool]) -> bool:
    """Return True if a message is not the first of its path. `has_older` says whether one with a lower id is stored."""
    if message.after is not None:
        return message.after != NOTHING
    return has_older(message.message_id) if message.page is None else message.page > 0


def _fullest_view(message: Message) -> MessageView:
    """Return a message with its text, and with its parts if they fit into a page with it."""
    shown = MessageView(
        message_id=message.message_id,
        content=message.content,
        role=message.role,
        timestamp=frames.timestamp(message.timestamp),
        finish_reason=message.finish_reason,
        feedback=message.feedback,
        attachments=attachments.views(message.attachments),
    )
    if not message.parts:
        return shown
    short = tuple(parts.placed(parts.shortened(each, parts.HISTORY_CHARS)) for each in message.parts)
    whole = replace(shown, parts=short)
    return whole if _bytes(whole) <= MAX_PAGE_BYTES else replace(shown, part_count=len(short))


def _bytes(shown: MessageView) -> int:
    """Return the size of a message in a page, with the comma that follows it."""
    return len(frames.encode(shown.as_data())) + 1
