"""The budget of the model's tokens that a user has for a day, decided on plain values: estimates, reservations, use.

The tokens of an attempt are reserved before its model is asked, and settled after. Estimates are upper bounds. So
neither a crash nor a cancellation makes the use smaller than what the model's server counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Self

from handlers.chat.limits import policy
from handlers.chat.limits.policy import Limits

MESSAGE_TOKENS = 10
"""The most tokens that a message has beside its text: the marks around it and its role.

Three in OpenAI's models, and three more before the answer (OpenAI Cookbook, "How to count tokens with tiktoken"); five
in the chat templates of Llama 3 and Qwen.
"""

IMAGE_TOKENS = 5_000
"""The tokens that an image counts as before the server has counted them, whatever its size.

Providers make images smaller, so there is a most: about 1,500 for GPT-4o and 3,800 for its successors (OpenAI, "Images
and vision"), 4,800 for Claude (Anthropic, "Vision"). It is no bound where small models count images many times over, as
gpt-4o-mini does; what the server counts is booked in the end.
"""

HIDDEN_TOKENS_PER_SECOND = 3_000
"""The most tokens that a model thinks in a second where nobody sees it.

The fastest server that is known writes so many (Cerebras, model overview: gpt-oss-120b). Models that hide their
thinking, of OpenAI and Google, are far slower.
"""


@dataclass(frozen=True, slots=True)
class Reservation:
    """The most tokens that one attempt at a reply may take, booked on a `day` (an ISO date) before the model is asked.

    `attempt` names it: the id of the reply and the number of the attempt. The function that runs it ends before
    `until`, in microseconds since the epoch.
    """

    attempt: str
    day: str
    tokens: int
    until: int

    @classmethod
    def of(cls, attempt: str, tokens: int, now: datetime, seconds: float) -> Self:
        """Return the reservation of an attempt that begins now and has so many seconds left."""
        until = policy.microseconds(now) + int(seconds * policy.SECOND)
        return cls(attempt, policy.day_of(now), tokens, until)


@dataclass(frozen=True, slots=True)
class TokenUse:
    """The tokens that a user has used on a day. `tokens` includes `reservations`, those not settled yet."""

    tokens: int = 0
    reservations: frozenset[Reservation] = frozenset()


def check(used: TokenUse, limits: Limits, now: datetime) -> None:
    """Raise `Refused` with `rate_limited` if the tokens of the day are used up.

    A reply that runs may take less than is reserved for it. So the client is told to wait for the end of the reply if
    that may be enough, and for the end of the day otherwise.
    """
    if used.tokens < limits.tokens_per_day:
        return
    running = sum(each.tokens for each in used.reservations if each.until > policy.microseconds(now))
    may_end = used.tokens - running < limits.tokens_per_day
    wait = policy.REPLY_RETRY_SECONDS if may_end else policy.until_midnight(now)
    raise policy.refusal(f"No more than {limits.tokens_per_day} tokens of the model a day", wait)


def estimate_text(text: str) -> int:
    """Return the most tokens that a text can have: its bytes of UTF-8.

    The tokenizers of current models (GPT, Llama 3, Qwen) are byte-level BPE. They begin with the 256 bytes and only
    join them, so a token is at least one byte (Radford et al. 2019, "Language Models are Unsupervised Multitask
    Learners", section 2.2). English has about four bytes to a token (the README of tiktoken). But scripts that a
    tokenizer hardly knows come near one (Petrov et al. 2023, "Language Model Tokenizers Introduce Unfairness Between
    Languages"), and so do random characters, which anybody can send. A smaller estimate would not be a hard stop.
    """
    return len(text.encode())


def estimate_answer(text: int, thinking: int, wait: float, longest: int) -> int:
    """Return the most tokens that an answer can have that its server has not counted.

    `text` and `thinking` are the estimates of what came. Thinking may also be hidden, or come as a summary. Models
    think before they write. So the time until the first text, `wait` in seconds, bounds it, and so does the `longest`
    answer.
    """
    hidden = ceil(max(0.0, wait) * HIDDEN_TOKENS_PER_SECOND)
    return max(text + thinking, min(longest, text + hidden))


def estimate_prompt(texts: Iterable[str], images: int = 0) -> int:
    """Return the most tokens that a prompt of these messages and so many images can have."""
    return sum(estimate_text(text) + MESSAGE_TOKENS for text in texts) + images * IMAGE_TOKENS
