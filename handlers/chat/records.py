"""What is kept, as the domain sees it: plain values that the store reads and writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from handlers.chat.protocol.frames import FinishReason, Resume, Role, Usage

ADMIN = "admin"
"""The role of administrators: the one that means something here."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may have a token, and may not use it while `disabled`. `roles` are never a token's."""

    user_id: str
    name: str | None = None
    roles: frozenset[str] = frozenset()
    disabled: bool = False
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection, whose it is, and the chat that it sees. `until` is when its token ends."""

    connection_id: str
    connected_at: datetime
    user_id: str | None = None
    chat_id: str | None = None
    until: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Turn:
    """The newest turn of a chat, until its reply has been announced. `message_id` is the reply's, fixed from the start.

    `attempt` counts the workers that have claimed it: 0 while it waits for the first. `worker` is the claim's own id.
    Whoever is at it has until `lease_until`; after that anybody may take it over. `replaces` is the reply that a
    regenerated one takes the place of.
    """

    message_id: str
    lease_until: datetime
    attempt: int = 0
    worker: str = ""
    cancelled: bool = False
    sealed: bool = False
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A connection's place in a chat. Each `join_chat` makes a new `join`, by which a worker knows it from the last.

    `shown` is the reply that was stored, but not announced yet, when the connection joined: it was shown in the
    history, and is not to be announced to it.
    """

    join: str = ""
    resume: Resume | None = None
    shown: str | None = None


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat of one user. `title` is None until it has one; `subscribers` are the connections in it, by id.

    `last_message_id` is the highest id that a message or a reply of this chat was given. The times are None where they
    were not read.
    """

    user_id: str
    chat_id: str
    title: str | None = None
    message_count: int = 0
    subscribers: dict[str, Subscription] = field(default_factory=dict)
    last_message_id: str | None = None
    turn: Turn | None = None
    created_at: datetime | None = field(default=None, compare=False)
    updated_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Message:
    """A stored message. What follows `client_message_id` belongs to the assistant's."""

    chat_id: str
    message_id: str
    role: Role
    content: str
    timestamp: datetime
    client_message_id: str | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    attempt: int = 1
