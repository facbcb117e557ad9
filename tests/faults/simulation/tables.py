"""The rows of the simulated store, and what the chats among them were before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from handlers.chat.limits.budget import TokenUse
from handlers.chat.limits.policy import QuotaUsage
from handlers.chat.records import Chat, Connection, Fork, Message, NamedStep, Step


class ChatHistory(dict[tuple[str, str], Chat]):
    """The chats, and what they were before: a replica that is late shows that. `time` tells the moment of a write."""

    def __init__(self) -> None:
        super().__init__()
        self.time: Callable[[], float] = lambda: 0.0
        self._before: dict[tuple[str, str], list[tuple[float, Chat | None]]] = {}

    def __setitem__(self, key: tuple[str, str], chat: Chat) -> None:
        super().__setitem__(key, chat)
        self._before.setdefault(key, []).append((self.time(), chat))

    def setdefault(self, key: tuple[str, str], chat: Chat) -> Chat:  # type: ignore[override]
        if key not in self:
            self[key] = chat
        return self[key]

    def pop(self, key: tuple[str, str], default: None = None) -> Chat | None:  # type: ignore[override]
        self._before.setdefault(key, []).append((self.time(), None))
        return super().pop(key, default)

    def as_of(self, key: tuple[str, str], moment: float) -> Chat | None:
        """Return a chat as it was at a moment."""
        return next((chat for at, chat in reversed(self._before.get(key, [])) if at <= moment), None)


@dataclass
class Tables:
    """The rows of the simulated store.

    `messages` are by chat and id, `sent` by chat and the client's own id, `quotas` by user, `tokens` by user and day,
    `steps` by chat and reply, and then by their numbers, `named_steps` by chat and reply, and then by name and number.
    `forks` are by chat and eldest message. `branches` are by chat and first message, and say what that comes after.
    """

    chats: ChatHistory = field(default_factory=ChatHistory)
    messages: dict[str, dict[str, Message]] = field(default_factory=dict)
    sent: dict[tuple[str, str], str] = field(default_factory=dict)
    connections: dict[str, Connection] = field(default_factory=dict)
    quotas: dict[str, QuotaUsage] = field(default_factory=dict)
    tokens: dict[tuple[str, str], TokenUse] = field(default_factory=dict)
    steps: dict[tuple[str, str], dict[int, Step]] = field(default_factory=dict)
    named_steps: dict[tuple[str, str], dict[tuple[str, int], NamedStep]] = field(default_factory=dict)
    forks: dict[tuple[str, str], Fork] = field(default_factory=dict)
    branches: dict[tuple[str, str], str] = field(default_factory=dict)
    taken_over_announcements: Counter[str] = field(default_factory=Counter)
    """How often a reply was taken over after its seal, because it was not announced in time."""


def shown(chat: Chat) -> tuple[object, ...]:
    """Return the part of a chat that must be as it was shown when a connection subscribes."""
    turn = chat.turn
    waiting = turn.attempt if turn and turn.waiting else None
    return chat.last_message_id, chat.message_count, chat.branches, turn.message_id if turn else None, waiting


def is_free(now: Chat, read: Chat) -> bool:
    """Tell whether no turn runs, and no message and no branch came since a chat was read."""
    same = (now.last_message_id, now.branches) == (read.last_message_id, read.branches)
    return now.turn is None and same


def active(chat: Chat, message: Message) -> dict[str, Any]:
    """Return what a new message changes of the active path."""
    return {"leaf": None, "branches": chat.branches + 1} if message.after is not None else {}
