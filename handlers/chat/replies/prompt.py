"""The prompt: the messages of a chat that the model is asked with.

Strict servers refuse more than OpenAI does, so every prompt keeps their rules: it begins and ends with the user, user
and assistant alternate (the chat templates of Mistral, Gemma and Llama raise an error otherwise), and no message is
blank (Anthropic: "text content blocks must be non-empty").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import Any

from handlers.chat.assistants import Assistant
from handlers.chat.protocol import sizes
from handlers.chat.records import Attachment, Message, Role
from handlers.chat.replies import files
from handlers.chat.replies.messages import PromptMessage
from handlers.chat.replies.tool_calls import Step

MAX_MESSAGES = 100
"""Stored messages that are read for a prompt, however short they are: so the cost of a turn does not grow with its
chat."""

Prompt = tuple[PromptMessage, ...]
"""Messages, oldest first."""


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, and the assistant that is to answer it with its instructions, which are empty if there are none.

    `tools` are those that the model may call, in OpenAI's words, and `steps` what it has called for this answer
    already. With `may_call` False it is to answer without calling more. `files` are the contents of the attachments
    that it gets.
    """

    prompt: Prompt
    assistant: Assistant = field(default_factory=Assistant)
    instructions: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    steps: tuple[Step, ...] = ()
    may_call: bool = True
    files: files.Files = field(default_factory=dict)

    @property
    def images(self) -> int:
        """The number of images that the model sees."""
        return len(self.files) - sum(1 for _ in files.texts(self.files))

    @property
    def texts(self) -> Iterator[str]:
        """The texts that the model reads."""
        if self.instructions:
            yield self.instructions
        for message in self.prompt:
            yield from message.texts
            yield from (f"{each.name}{each.type}{files.FRAME}" for each in message.attachments)
        yield from files.texts(self.files)
        yield from (json.dumps(tool, ensure_ascii=False) for tool in self.tools)
        for step in self.steps:
            yield step.text + step.reasoning
            for each in step.calls:
                yield each.call.name + each.call.arguments
                yield each.result


def prompt(newest_first: Iterable[Message], max_chars: int) -> Prompt:
    """Return the newest messages that have at most `max_chars` characters together.

    The newest message of the user is always among them, because it is the question. Replies in which the model said and
    called nothing are left out, and two messages of the user that come together become one. A reply is taken with its
    calls and their results, or not at all.
    """
    said = (PromptMessage.of(message) for message in islice(newest_first, MAX_MESSAGES))
    return _newest((each for each in said if each), max_chars)


def known_items(chars: Sequence[int], max_chars: int) -> int:
    """Return how many messages a prompt takes if they have these lengths, the newest first, as far as known."""
    fitting = sum(filled <= max_chars for filled in accumulate(chars))
    # Questions and replies alternate, and no prompt begins with a reply.
    reply = fitting < len(chars) and fitting % 2 == 0
    return max(fitting - reply, min(1, len(chars)))


def up_to_known(newest_first: Iterable[Message], known: Sequence[int], fitting: int) -> Iterator[Message]:
    """Yield messages, but none after the `fitting` ones if the next is known to be of no use for a prompt.

    `known` are the lengths of the newest ones. They count only if those of the messages that were read are right.
    """
    read: list[int] = []
    for message in newest_first:
        yield message
        read.append(sizes.chars_of(message))
        if len(read) == fitting < len(known) and tuple(read) == tuple(known[:fitting]) and message.role is Role.USER:
            return


def chars(messages: Prompt) -> int:
    """Return the number of characters in a prompt."""
    return sum(message.chars for message in messages)


def attached(messages: Prompt) -> Iterator[tuple[Attachment, ...]]:
    """Yield the attachments of the user's messages in a prompt, those of the newest first."""
    return (message.attachments for message in reversed(messages) if message.role is Role.USER)


def halved(messages: Prompt) -> Prompt | None:
    """Return the newest half of a prompt, in characters. None if it has nothing but the question."""
    return _newest(reversed(messages), chars(messages) // 2) if len(messages) > 1 else None


def _newest(newest_first: Iterable[PromptMessage], max_chars: int) -> Prompt:
    # Stops at the first message that does not fit. A shorter one before it must not take its place: the model would
    # see a conversation with a hole.
    chosen: list[PromptMessage] = []
    for message in newest_first:
        if not chosen and message.role is not Role.USER:
            continue
        joined = chosen[-1].after(message) if chosen and chosen[-1].role is message.role else message
        max_chars -= joined.chars - (chosen[-1].chars if joined is not message else 0)
        if chosen and max_chars < 0:
            break
        if joined is not message:
            chosen[-1] = joined
        else:
            chosen.append(message)
    if chosen and chosen[-1].role is not Role.USER:
        chosen.pop()
    return tuple(reversed(chosen))
