"""Attempt: one worker's try at a turn, and the settings of replies."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Self

from handlers.chat.concurrency import Runtime
from handlers.chat.connections import OpenConnections
from handlers.chat.cost import Meter, Prices
from handlers.chat.log import logger
from handlers.chat.protocol.frames import AssistantMessageStart
from handlers.chat.records import Announcement, Chat, FinishReason, Turn, Usage
from handlers.chat.replies.relay import Relay
from handlers.chat.settings import Pace, Settings, Texts
from handlers.chat.store import StoreError
from handlers.chat.turns.lifecycle import Handover


@dataclass(frozen=True, slots=True)
class ReplySettings:
    """The settings of replies. `pace` is the relay's.

    `tokens_per_day` is each user's budget, 0 for none. `max_completion_tokens` is what the model is told to write at
    most in one answer.
    """

    texts: Texts
    prices: Prices
    history_chars: int
    pace: Pace
    tokens_per_day: int
    max_completion_tokens: int

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
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One worker's try at a turn that it has claimed. `remaining` returns the seconds that its function still has."""

    handover: Handover
    chat: Chat
    turn: Turn
    relay: Relay
    meter: Meter
    remaining: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Completion:
    """The end of a reply, whose text is in the relay."""

    finish_reason: FinishReason
    usage: Usage | None = None

    def after(self, finish_reason: FinishReason | None, usage: Usage | None, cut: bool) -> Completion:
        """Return the completion after one more delta. A reply that was `cut` has reached the length of an item."""
        finish_reason = FinishReason.LENGTH if cut else finish_reason or self.finish_reason
        return Completion(finish_reason, usage or self.usage)


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

    def subscribers() -> Collection[str] | None:
        try:
            now = connections.store.chats.watch(chat.user_id, chat.chat_id, certain=True)
        except StoreError:
            logger.exception("subscribers_not_read")
            return None
        return now.subscribers.keys() if now else ()

    return Relay(
        connections.gateway,
        start,
        lambda gone: connections.forget(gone, chat),
        runtime,
        settings.pace,
        subscribers,
    )
