"""Records: the plain values that the domain works with, and that the store keeps."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from functools import reduce
from operator import add
from typing import Any, NamedTuple, TypeGuard

ADMIN = "admin"
"""The role of administrators, the only user role that has a meaning here."""


NOTHING = "-"
"""What the first message of a chat comes after, if it has siblings: no message has this id, and it sorts before all."""

DEFAULT_ASSISTANT = "default"
"""The id of the assistant of every chat that names none."""

MAX_USER_ID_CHARS = 128

_NOT_IN_USER_IDS = frozenset("/?%")
"""Characters that no path can name. API Gateway's HTTP API decodes a path twice and cuts it at `?` (docs/aws.md)."""


def is_user_id(value: object) -> TypeGuard[str]:
    """Return True if a value can be a user's id: a text without control characters that a path can name.

    `.` and `..` are refused too: HTTP clients resolve them before they send a path.
    """
    return (
        isinstance(value, str)
        and 1 <= len(value) <= MAX_USER_ID_CHARS
        and value not in (".", "..")
        and _NOT_IN_USER_IDS.isdisjoint(value)
        and not any(unicodedata.category(character).startswith("C") for character in value)
    )


class Role(StrEnum):
    """The author of a message."""

    USER = "user"
    ASSISTANT = "assistant"


class FinishReason(StrEnum):
    """The reason why a reply ended."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    CANCELLED = "cancelled"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Usage:
    """The model's tokens of one reply, as the model's server counted them."""

    prompt_tokens: int
    completion_tokens: int

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)


def total_usage(usages: Iterable[Usage | None]) -> Usage | None:
    """Return the tokens of several usages together, as far as they were counted. None if none were."""
    counted = [usage for usage in usages if usage is not None]
    return reduce(add, counted) if counted else None


@dataclass(frozen=True, slots=True)
class Resume:
    """The part of a reply that a client has: `offset` UTF-16 code units, of this `attempt` if it is known."""

    message_id: str
    offset: int
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A user of this deployment. A token of a `disabled` user is refused. `roles` never come from a token."""

    user_id: str
    name: str | None = None
    roles: frozenset[str] = frozenset()
    disabled: bool = False
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection: its user, and the chat that it sees. `until` is the moment when its token ends."""

    connection_id: str
    connected_at: datetime
    user_id: str | None = None
    chat_id: str | None = None
    until: datetime | None = None

    def may_hear(self, now: datetime) -> bool:
        """Return True if it has a user whose session has not ended."""
        return self.user_id is not None and (self.until is None or now < self.until)


@dataclass(frozen=True, slots=True)
class Turn:
    """The turn of a chat whose reply is not stored yet. `message_id` is the reply's, fixed from the start.

    `attempt` counts the workers that have claimed the turn: 0 while it waits for the first. `worker` is the id of the
    last claim. The worker has the turn until `lease_until`; then another one may take it over. `replaces` is the id of
    the reply that a regenerated one replaces. `acknowledging` is True from the beginning until the posts of the user's
    message have ended: nothing of the reply is sent before. `steps` counts the stored steps of the model, or of an
    own agent, and `since` is the attempt that has stored the last of them: both are 0 if there is none. `after` and
    `fork` are those of a reply that begins a branch (see `Message`).

    `awaits` are the ids of calls that the user has still to approve or to refuse. While the turn is `waiting` for that,
    no worker has it, and `lease_until` is the end of the time to answer.
    """

    message_id: str
    lease_until: datetime
    attempt: int = 0
    worker: str = ""
    cancelled: bool = False
    replaces: str | None = None
    acknowledging: bool = field(default=False, compare=False)
    steps: int = 0
    since: int = 0
    awaits: frozenset[str] = frozenset()
    waiting: bool = False
    after: str | None = None
    fork: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model asks for: the name of a tool, and its arguments, which should be JSON.

    `id` is the server's, empty if it gave none. `extra` is what the server wants back as it is (`extra_content`).
    """

    name: str
    arguments: str
    id: str = ""
    extra: Mapping[str, Any] | None = None


class CallState(StrEnum):
    """The states of a call that is over."""

    DONE = "done"
    ERROR = "error"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a call: its state, and the text for the model, which is never empty."""

    state: CallState
    text: str


@dataclass(frozen=True, slots=True)
class StepCall:
    """A call of a step. `result` is None until it is stored: from then on it does not change.

    One that `needs_approval` is not made before the user has `approved` it: True or False, None if they have not said.
    """

    asked: ToolCall
    result: Result | None = None
    needs_approval: bool = False
    approved: bool | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A stored answer of the model that was not its last one in a turn: it asked for calls.

    `number` counts from 1. `attempt` is that of the worker that stored it.
    """

    number: int
    attempt: int
    calls: tuple[StepCall, ...]
    text: str = ""
    reasoning: str = ""
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class NamedStep:
    """A stored step of an own agent: what one of its functions has returned, as JSON.

    `number` counts the steps of one name in a turn, from 1. `attempt` is that of the worker that stored it. `usage` are
    the tokens that were reported inside of it.
    """

    name: str
    number: int
    attempt: int
    result: str
    usage: Usage | None = None


class Acceptance(Enum):
    """The outcome of the write that accepts a message."""

    STORED = "the message is stored, and its turn has begun"
    CHAT_CHANGED = "nothing is written: the chat is no longer as it was read, or the client's id was used before"
    QUOTA_CHANGED = "nothing is written: the user's usage of quotas is no longer as it was read"


@dataclass(frozen=True, slots=True)
class Announcement:
    """A reply that is stored and still to be announced. `lease_until` and `replaces` are as in `Turn`.

    Each worker that takes the announcement over gives it a new `lease_until`, so no two of them have an equal one.
    """

    message_id: str
    lease_until: datetime
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """The entry of a subscriber in its chat. Each `join_chat` gives it a new `join`, so a worker sees that it is new.

    `shown` is the id of the newest reply that was stored but not announced when the connection joined. The connection
    was shown it and those before it in the history, so they are not announced to it.

    `until` is the end of the connection's session, as in its row. From then on nothing is sent to it.
    """

    join: str = ""
    resume: Resume | None = None
    shown: str | None = None
    until: datetime | None = None

    def may_hear(self, now: datetime) -> bool:
        """Return True if the session has not ended."""
        return self.until is None or now < self.until


class Size(NamedTuple):
    """The size of a message: the characters of its text, and the bytes that it takes in a page of history."""

    chars: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat of one user. `title` is None until it has one. `subscribers` are the connections in it, by id.

    `last_message_id` is the highest id that a message or a reply of this chat was given. `joins` counts the
    subscriptions that were ever made. `announcements` are nearly always none or one: a message may come while an
    earlier reply is still announced. `sizes` are those of its newest messages, the newest first, as far as they are
    known: a hint (`protocol.sizes`). `assistant` is the id of the assistant that answers in it, None for the default
    one. `leaf` is the last message of the active path, None if that is the newest one. `branches` counts the changes of
    branches, 0 in nearly all chats. The times are None if they were not read.
    """

    user_id: str
    chat_id: str
    title: str | None = None
    message_count: int = 0
    subscribers: dict[str, Subscription] = field(default_factory=dict)
    last_message_id: str | None = None
    turn: Turn | None = None
    joins: int = 0
    announcements: frozenset[Announcement] = frozenset()
    sizes: tuple[Size, ...] = field(default=(), compare=False)
    assistant: str | None = None
    leaf: str | None = None
    branches: int = 0
    created_at: datetime | None = field(default=None, compare=False)
    updated_at: datetime | None = field(default=None, compare=False)

    @property
    def assistant_id(self) -> str:
        """The id of the assistant, also of the default one."""
        return self.assistant or DEFAULT_ASSISTANT

    def listeners(self, now: datetime) -> frozenset[str]:
        """Return the ids of the subscribers whose sessions have not ended."""
        return frozenset(name for name, each in self.subscribers.items() if each.may_hear(now))


class PartKind(StrEnum):
    """The kinds of the parts of a reply. The text of the reply is none of them."""

    REASONING = "reasoning"
    TOOL_CALL = "tool_call"
    SOURCE = "source"
    REFUSAL = "refusal"


class PartState(StrEnum):
    """The states of a part that is a call of a tool. `waiting` is for the user's approval."""

    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    ERROR = "error"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a reply beside its text. `offset` is its place in the text, in UTF-16 code units.

    Reasoning and a refusal have `text`. A call of a tool has `call_id` (ours), `name`, `arguments`, `state` and, once
    it is over, `result`. A source has `url`, perhaps `name` (its title) and `text` (what it says). `cut` is True if one
    of the texts is only its beginning. `index` names the part in its reply; it is None until the part has its place.
    """

    kind: PartKind
    index: int | None = None
    offset: int = 0
    text: str = ""
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    state: PartState | None = None
    result: str | None = None
    url: str = ""
    cut: bool = False


class Rating(StrEnum):
    """The rating of a reply by its user."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Feedback:
    """The feedback of a user on a reply: a rating, and perhaps a text."""

    user_id: str
    chat_id: str
    message_id: str
    rating: Rating
    text: str | None
    given_at: datetime


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a message. `type` is its media type, `bytes` its size."""

    attachment_id: str
    name: str
    type: str
    bytes: int

    @property
    def is_image(self) -> bool:
        """True for an image, False for a text."""
        return self.type.startswith("image/")


@dataclass(frozen=True, slots=True)
class Message:
    """A stored message. Only a user's message has `client_message_id` and `attachments`; only a reply has the others.

    Any message may have a `page`: the number of messages that fill a page of history, with this one as the newest. It
    is 0 if none is older, and None if it is not known.

    `after` is the message before it on its path, if that is not the one with the next lower id: then the message begins
    a branch. `fork` is the eldest of its siblings, None if that is itself, or if it has none. `feedback` is the user's
    rating of a reply.
    """

    chat_id: str
    message_id: str
    role: Role
    content: str
    timestamp: datetime
    page: int | None = field(default=None, compare=False, kw_only=True)
    client_message_id: str | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    attempt: int = 1
    parts: tuple[Part, ...] = ()
    after: str | None = None
    fork: str | None = None
    feedback: Rating | None = None
    attachments: tuple[Attachment, ...] = field(default=(), kw_only=True)

    @property
    def fork_id(self) -> str:
        """The key of its fork, if it has siblings."""
        return self.fork or self.message_id


@dataclass(frozen=True, slots=True)
class Fork:
    """The messages that come after the same one: siblings, each the beginning of branches. `eldest` is the first.

    `leaves` has the last message of each sibling's path, as it was when that path was left. That of the sibling on the
    active path is out of date.
    """

    eldest: str
    leaves: Mapping[str, str]

    @property
    def siblings(self) -> tuple[str, ...]:
        """The ids of the siblings, the eldest first."""
        return tuple(sorted(self.leaves))


@dataclass(frozen=True, slots=True)
class Branch:
    """A run of messages, each after the one with the next lower id. `first` alone is after another one: `after`."""

    first: str
    after: str
