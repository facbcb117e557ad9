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
from handlers.chat.records import Chat, FinishReason, Turn, Usage
from handlers.chat.replies.relay import Relay
from handlers.chat.settings import Settings, Texts
from handlers.chat.store import StoreError
from handlers.chat.turns.lifecycle import Handover


@dataclass(frozen=True, slots=True)
class ReplySettings:
    """The settings of replies. `pace` is the relay's, in seconds.

    With `counts_tokens`, the tokens of each reply are added to those that its user took that day.
    """

    texts: Texts
    prices: Prices
    history_chars: int
    pace: float
    counts_tokens: bool

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the settings of replies in a deployment."""
        counts_tokens = settings.limits.tokens_per_day > 0
        return cls(settings.texts, settings.prices, settings.history_chars, settings.relay_pace, counts_tokens)


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
    """The end of a reply, whose text is in the relay. `prompt_chars` is 0 if the model was not asked."""

    finish_reason: FinishReason
    usage: Usage | None = None
    prompt_chars: int = 0


def relay_of(chat: Chat, turn: Turn, connections: OpenConnections, settings: ReplySettings, runtime: Runtime) -> Relay:
    """Return the relay of a turn's reply, with its start frame."""
    start = AssistantMessageStart(
        message=settings.texts.typing,
        message_id=turn.message_id,
        chat_id=chat.chat_id,
        attempt=turn.attempt,
        replaces=turn.replaces,
    )

    def subscribers() -> Collection[str] | None:
        try:
            now = connections.store.chats.get(chat.user_id, chat.chat_id)
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
