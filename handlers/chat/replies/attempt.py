"""Attempt: one worker's try at a turn, and the settings of replies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

from handlers.chat.assistants.registry import Assistants
from handlers.chat.concurrency import Runtime
from handlers.chat.cost import Meter, Prices, Use, gb_seconds
from handlers.chat.records import Chat, FinishReason, Part, PartKind, Turn, Usage
from handlers.chat.replies.journal import Journal
from handlers.chat.replies.prompt import Prompt
from handlers.chat.replies.relay import Relay
from handlers.chat.settings import (
    DEFAULT_APPROVAL_DAYS,
    DEFAULT_PROMPT_IMAGES,
    DEFAULT_TOOL_RESULT_BYTES,
    Pace,
    Reasoning,
    Settings,
    Texts,
)
from handlers.chat.turns.lifecycle import Handover

MAX_REPLY_BYTES = 350_000
"""Bytes of UTF-8 of a reply's text, and of its text and parts together. An item of DynamoDB holds 400 KB, and a reply
has more attributes than these."""


@dataclass(frozen=True, slots=True)
class ReplySettings:
    """The settings of replies. `pace` is the relay's, `reasoning` what users see of the model's.

    `title_model` makes the titles of chats, none if it is empty.

    `tool_result_bytes` is the most of one result of a tool.
    `tokens_per_day` is each user's budget, 0 for none. `max_completion_tokens` is what the model is told to write at
    most in one answer. `memory` is the worker's, in GB, None if it is not known. `prompt_images` is the most images
    of a question, `time_to_approve` the time that a user has to approve a call. Where an assistant says otherwise, it
    counts.
    """

    texts: Texts
    prices: Prices
    history_chars: int
    pace: Pace
    tokens_per_day: int
    max_completion_tokens: int
    memory: float | None
    assistants: Assistants = field(default_factory=Assistants)
    reasoning: Reasoning = Reasoning.HIDDEN
    tool_result_bytes: int = DEFAULT_TOOL_RESULT_BYTES
    time_to_approve: timedelta = timedelta(days=DEFAULT_APPROVAL_DAYS)
    title_model: str = ""
    prompt_images: int = DEFAULT_PROMPT_IMAGES

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the settings of replies in a deployment."""
        return cls(
            texts=settings.texts,
            prices=settings.prices,
            history_chars=settings.history_chars,
            pace=settings.relay_pace,
            tokens_per_day=settings.limits.tokens_per_day,
            max_completion_tokens=settings.max_completion_tokens,
            memory=settings.memory,
            assistants=settings.assistants,
            reasoning=settings.reasoning,
            prompt_images=settings.prompt_images,
            tool_result_bytes=settings.tool_result_bytes,
            time_to_approve=timedelta(days=settings.approval_days),
            title_model=settings.title_model,
        )

    @property
    def shows_reasoning(self) -> bool:
        """True if users see the model's reasoning while a reply runs."""
        return self.reasoning is not Reasoning.HIDDEN

    def kept(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        """Return the parts that are stored with a reply."""
        stored = self.reasoning is Reasoning.STORED
        return tuple(part for part in parts if stored or part.kind is not PartKind.REASONING)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One worker's try at a turn that it has claimed. `remaining` returns the seconds that its function still has.

    `began` is the moment of the monotonic clock at which its function began. `prompt` waits for the prompt that is read
    since before the claim, and returns None if that failed. `journal` has the steps of the turn.
    """

    handover: Handover
    chat: Chat
    turn: Turn
    relay: Relay
    meter: Meter
    remaining: Callable[[], float]
    began: float
    prompt: Callable[[], Prompt | None]
    journal: Journal

    def use(self, memory: float | None, now: float) -> Use:
        """Return what the turn has used of AWS until a moment, with the frames that are still to be posted."""
        return self.handover.use + Use(self.relay.frames, self.meter.units, 1, gb_seconds(memory, now - self.began))


class ModelCall:
    """The requests to a model in one attempt, and the times of its answers. `model` is None for the deployment's.

    `seconds` is the time of all answers together. `first_chunk_seconds` is the time until anything came of the first
    one, and `first_text_at` the moment at which text came: None if nothing did.
    """

    def __init__(self, runtime: Runtime, model: str | None = None) -> None:
        self.model = model
        self._runtime = runtime
        self._began: float | None = None
        self.seconds = 0.0
        self.first_chunk_seconds: float | None = None
        self.first_text_at: datetime | None = None

    @property
    def was_asked(self) -> bool:
        """True from the first question on."""
        return self._began is not None

    def begin(self) -> None:
        """Note that the model is asked now."""
        self._began = self._runtime.monotonic()

    def note(self, text: str) -> None:
        """Note that a piece of the answer has come, which may have no text."""
        if self.first_chunk_seconds is None:
            self.first_chunk_seconds = self._since_question()
        if text and self.first_text_at is None:
            self.first_text_at = self._runtime.now()

    def end(self) -> None:
        """Note that the answer is over, whatever came of it."""
        self.seconds += self._since_question()

    def _since_question(self) -> float:
        return self._runtime.monotonic() - self._began if self._began is not None else 0.0


@dataclass(frozen=True, slots=True)
class Completion:
    """The end of a reply, whose text is in the relay. `call` are the questions to the model, None if there was none."""

    finish_reason: FinishReason
    usage: Usage | None = None
    call: ModelCall | None = None

    def after(self, finish_reason: FinishReason | None, usage: Usage | None, cut: bool) -> Completion:
        """Return the completion after one more delta. A reply that was `cut` has reached the length of an item."""
        finish_reason = FinishReason.LENGTH if cut else finish_reason or self.finish_reason
        return replace(self, finish_reason=finish_reason, usage=usage or self.usage)
