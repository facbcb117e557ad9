"""The prompt: the messages of a chat that the model is asked with."""

from __future__ import annotations

from collections.abc import Iterable

from handlers.chat.records import Message

MAX_MESSAGES = 100
"""Messages in a prompt, however short they are: so the cost of a turn does not grow with its chat."""


def context(newest_first: Iterable[Message], max_chars: int) -> list[Message]:
    """Return the newest messages that have at most `max_chars` characters together, oldest first.

    The newest message is always among them, because it is the question. There are at most `MAX_MESSAGES`.
    """
    # Stops at the first message that does not fit. A shorter one before it must not take its place: the model would
    # see a conversation with a hole.
    chosen: list[Message] = []
    for message in newest_first:
        max_chars -= len(message.content)
        if chosen and (max_chars < 0 or len(chosen) == MAX_MESSAGES):
            break
        chosen.append(message)
    return chosen[::-1]
