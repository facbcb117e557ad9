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
from handlers.chat.protocol.frames import clean
from handlers.chat.protocol.stream import BREAK
from handlers.chat.records import FinishReason, Message, Role
from handlers.chat.replies.tool_calls import Step
from handlers.chat.settings import APOLOGIES

MAX_MESSAGES = 100
"""Stored messages that are read for a prompt, however short they are: so the cost of a turn does not grow with its
chat."""

Prompt = tuple[tuple[Role, str], ...]
"""Texts with their authors, oldest first."""


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, and the assistant that is to answer it with its instructions, which are empty if there are none.

    `tools` are those that the model may call, in OpenAI's words, and `steps` what it has called for this answer
    already. With `may_call` False it is to answer without calling more.
    """

    prompt: Prompt
    assistant: Assistant = field(default_factory=Assistant)
    instructions: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    steps: tuple[Step, ...] = ()
    may_call: bool = True

    @property
    def texts(self) -> Iterator[str]:
        """The texts that the model reads."""
        if self.instructions:
            yield self.instructions
        yield from (text for _, text in self.prompt)
        yield from (json.dumps(tool, ensure_ascii=False) for tool in self.tools)
        for step in self.steps:
            yield step.text + step.reasoning
            for each in step.calls:
                yield each.call.name + each.call.arguments
                yield each.result


def prompt(newest_first: Iterable[Message], max_chars: int) -> Prompt:
    """Return the newest messages that have at most `max_chars` characters together.

    The newest message of the user is always among them, because it is the question. Replies without a text of the
    model are left out, and two messages of the user that come together become one.
    """
    said = ((message.role, _said(message)) for message in islice(newest_first, MAX_MESSAGES))
    return _newest(((role, text) for role, text in said if text), max_chars)


def known_items(chars: Sequence[int], max_chars: int) -> int:
    """Return how many messages a prompt takes if their texts have these lengths, the newest first, as far as known."""
    fitting = sum(filled <= max_chars for filled in accumulate(chars))
    # Questions and replies alternate, and no prompt begins with a reply.
    reply = fitting < len(chars) and fitting % 2 == 0
    return max(fitting - reply, min(1, len(chars)))


def up_to_known(newest_first: Iterable[Message], known: Sequence[int], fitting: int) -> Iterator[Message]:
    """Yield messages, but none after the `fitting` ones if the next is known to be of no use for a prompt.

    `known` are the lengths of the newest texts. They count only if those of the messages that were read are right.
    """
    read: list[int] = []
    for message in newest_first:
        yield message
        read.append(len(message.content))
        if len(read) == fitting < len(known) and tuple(read) == tuple(known[:fitting]) and message.role is Role.USER:
            return


def chars(messages: Prompt) -> int:
    """Return the number of characters in a prompt."""
    return sum(len(text) for _, text in messages)


def halved(messages: Prompt) -> Prompt | None:
    """Return the newest half of a prompt, in characters. None if it has nothing but the question."""
    return _newest(reversed(messages), chars(messages) // 2) if len(messages) > 1 else None


def _newest(newest_first: Iterable[tuple[Role, str]], max_chars: int) -> Prompt:
    # Stops at the first message that does not fit. A shorter one before it must not take its place: the model would
    # see a conversation with a hole.
    chosen: list[tuple[Role, str]] = []
    for role, text in newest_first:
        if not chosen and role is not Role.USER:
            continue
        joins = bool(chosen) and chosen[-1][0] is role
        max_chars -= len(text) + (len(BREAK) if joins else 0)
        if chosen and max_chars < 0:
            break
        if joins:
            chosen[-1] = (role, f"{text}{BREAK}{chosen[-1][1]}")
        else:
            chosen.append((role, text))
    if chosen and chosen[-1][0] is not Role.USER:
        chosen.pop()
    return tuple(reversed(chosen))


def _said(message: Message) -> str:
    """Return what the author of a message said: no control characters, no apology of ours. Empty for a blank text."""
    text = message.content
    if message.role is Role.ASSISTANT and message.finish_reason is FinishReason.ERROR:
        for apology in APOLOGIES:
            text = text.removesuffix(apology)
        text = text.removesuffix(BREAK)
    text = clean(text)
    return text if text.strip() else ""
