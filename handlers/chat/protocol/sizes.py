"""Sizes of the newest messages of a chat's path: a hint, kept with the chat, for how many one read is to ask for.

A read is charged by what it returns. So who knows the sizes reads as many messages as fit, and not the next one.
A missing hint, or a wrong one, costs units or one more read, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from handlers.chat.protocol import parts, views
from handlers.chat.records import Chat, FinishReason, Message, Size

MAX_SIZES = views.MAX_PAGE_MESSAGES
"""The messages whose sizes a chat keeps: those of a page, and often all of a prompt. Each takes 4 bytes of its item."""

UNKNOWN = 2**16 - 1
"""The number that stands for all that are larger, and for `chars` of a text of which a prompt may take only a part."""


def size_of(message: Message) -> Size:
    """Return the size of a message."""
    whole = message.finish_reason is not FinishReason.ERROR  # the others may end with an apology
    chars = chars_of(message) if whole else UNKNOWN
    return Size(min(chars, UNKNOWN), min(views.bytes_in_page(message), UNKNOWN))


def chars_of(message: Message) -> int:
    """Return the characters that a message takes in a prompt: its text, and its calls with their results."""
    return len(message.content) + parts.chars_in_prompt(message.parts)


def sizes_with(chat: Chat, message: Message, replaces: str | None = None) -> tuple[Size, ...]:
    """Return the sizes of a chat's active path with a message that comes, perhaps instead of the last one there."""
    if replaces is not None:
        return (size_of(message), *chat.sizes[1:])[:MAX_SIZES]
    # Nobody knows how many of the sizes are those of messages before an edited one.
    older = chat.sizes if message.after in (None, chat.leaf) else ()
    return (size_of(message), *older)[:MAX_SIZES]


def arrived(chat: Chat, message: Message, replaces: str | None = None) -> tuple[Message, tuple[Size, ...], int]:
    """Return a new message with its page, and then the sizes and the number of messages that its chat has with it.

    The number is that of all branches. It is the more of the path's messages, so a page says too little, and nothing
    wrong.
    """
    sizes, count = sizes_with(chat, message, replaces), chat.message_count + 1
    return replace(message, page=page_items(sizes, count)), sizes, count


def page_items(sizes: Sequence[Size], message_count: int) -> int | None:
    """Return how many messages fill a page whose newest has the first of these sizes, as `Message.page` has it.

    `message_count` is the number of messages in the chat.
    """
    if message_count == 1:
        return 0
    filled = 0
    for items, each in enumerate(sizes):
        # One that is larger than a page is shown without its text if it is the newest. Else the page ends before it.
        filled += each.bytes if items or each.bytes <= views.MAX_PAGE_BYTES else views.FULL_BYTES
        if items and filled > views.MAX_PAGE_BYTES:
            return items
    return len(sizes) if len(sizes) == min(message_count, MAX_SIZES) else None


def first_items(chat: Chat) -> int | None:
    """Return how many messages to ask for first, to show the newest page of a chat. None if nothing is known."""
    return page_items(chat.sizes, chat.message_count) or len(chat.sizes) or None


def known_chars(sizes: Sequence[Size]) -> tuple[int, ...]:
    """Return the lengths of the messages for a prompt, up to the first that is not known."""
    return tuple(takewhile(lambda chars: chars < UNKNOWN, (each.chars for each in sizes)))
