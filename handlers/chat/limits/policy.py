"""Limits of one user, decided on plain values: buckets, quotas of a day, slots for running replies.

A bucket is stored as one moment: the moment when it will be full again. The generic cell rate algorithm (ITU-T I.371)
calls it the theoretical arrival time. Moments and spans are whole microseconds, so nothing is lost by rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from math import ceil

from handlers.chat.errors import ErrorCode, Refused

SECOND = 1_000_000
MINUTE = 60 * SECOND

REPLY_RETRY_SECONDS = 5
"""The time that a client is asked to wait until one of its replies has ended."""

SETTLING_SECONDS = 30
"""The time in which a function does what it has counted: it runs for 29 seconds at most."""

CHATS_RETRY_SECONDS = 60
"""The time that a client is asked to wait until its user has perhaps deleted a chat."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one user; 0 is no limit. `frames_per_second` counts for each connection by itself."""

    messages_per_minute: int = 0
    messages_per_day: int = 0
    tokens_per_day: int = 0
    connections_per_user: int = 0
    concurrent_replies: int = 0
    frames_per_second: int = 0
    requests_per_minute: int = 0
    chats_per_user: int = 0

    @property
    def apply_to_messages(self) -> bool:
        """True if one of the limits counts messages or what follows from them."""
        return any((self.messages_per_minute, self.messages_per_day, self.tokens_per_day, self.concurrent_replies))


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of `size` permits. A new one comes every `interval` microseconds. It is full at first."""

    size: int
    interval: int

    @classmethod
    def of(cls, size: int, permits: int, span: int) -> Bucket:
        """Return a bucket that gets at most `permits` new permits in each span."""
        return cls(size, ceil(span / permits))

    def take(self, full_at: int, now: int) -> int:
        """Take a permit, even if there is none, and return the moment when the bucket will be full then."""
        return max(now, full_at) + self.interval

    def wait(self, full_at: int, now: int) -> int:
        """Return the time until there is a permit, 0 if there is one."""
        return max(0, self.take(full_at, now) - now - self.size * self.interval)


@dataclass(frozen=True, slots=True)
class ReplySlot:
    """The slot of a chat's running reply, taken at `since`. `last_message_id` was then the newest id of the chat."""

    since: int
    last_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class QuotaUsage:
    """A user's use of quotas: messages of a `day` (an ISO date), the bucket of the minute, reply slots by chat."""

    day: str = ""
    messages: int = 0
    full_at: int = 0
    slots: Mapping[str, ReplySlot] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QuotaChange:
    """A change of a user's usage by one message: what it was when it was read, and what it is to become."""

    before: QuotaUsage
    after: QuotaUsage


@dataclass(frozen=True, slots=True)
class ChatCount:
    """The chats that a user created since they are counted, the last `at` a moment in microseconds since the epoch.

    `removed` of them were gone at the last recount. It is negative for a user who had chats before they were counted.
    `created` rises with each chat and never falls, so two writers that both began with the same count can be told
    apart.
    """

    created: int = 0
    removed: int = 0
    at: int = 0

    @property
    def existing(self) -> int:
        """The most chats that the user can have now."""
        return self.created - self.removed

    def recounted(self, existing: int) -> ChatCount:
        """Return the count of a user who has this number of chats."""
        return replace(self, removed=self.created - existing)

    def with_one_more(self, now: datetime) -> ChatCount:
        """Return the count after one more chat."""
        return replace(self, created=self.created + 1, at=microseconds(now))

    def needs_recount(self, limit: int, now: datetime) -> bool:
        """Return True if the user's chats are to be counted: at the first one, and if the limit seems to be reached.

        A chat is counted before it is stored. So nothing is recounted until the last one is stored, or never will be.
        """
        is_settled = not 0 <= microseconds(now) - self.at < SETTLING_SECONDS * SECOND
        return not self.created or (self.existing >= limit and is_settled)


def microseconds(moment: datetime) -> int:
    """Return a moment as microseconds since the epoch."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def day_of(moment: datetime) -> str:
    """Return the UTC day of a moment, as an ISO date."""
    return moment.astimezone(UTC).date().isoformat()


def use_message(usage: QuotaUsage, limits: Limits, now: datetime) -> QuotaUsage:
    """Return the usage after one more message. Raises `Refused` with `rate_limited`.

    The result always differs from `usage`, because `messages` rises until the day changes. So two writers that both
    began with `usage` can be told apart.
    """
    # Never an earlier day: a clock that is behind must not give the day before, and its messages, back.
    day = max(usage.day, day_of(now))
    messages = usage.messages if day == usage.day else 0
    if limits.messages_per_day and messages >= limits.messages_per_day:
        raise refusal(f"No more than {limits.messages_per_day} messages a day", until_midnight(now))
    full_at = 0
    if limits.messages_per_minute:
        full_at = take_from_minute(usage.full_at, limits.messages_per_minute, "messages", microseconds(now))
    return replace(usage, day=day, messages=messages + 1, full_at=full_at)


def take_from_minute(full_at: int, per_minute: int, what: str, now: int) -> int:
    """Take a permit of the bucket of a minute, and return the moment when the bucket will be full then.

    `what` names what is counted. Raises `Refused` with `rate_limited`.
    """
    bucket = Bucket.of(per_minute, per_minute, MINUTE)
    if full_at > now + 2 * MINUTE:
        # Only a clock that was ahead by more than a minute can have written this. One permit is given and corrects it.
        full_at = now + (bucket.size - 1) * bucket.interval
    if wait := bucket.wait(full_at, now):
        raise refusal(f"No more than {per_minute} {what} a minute", ceil(wait / SECOND))
    return bucket.take(full_at, now)


def check_slots(taken: int, limits: Limits) -> None:
    """Raise `Refused` with `rate_limited` if replies in other chats have taken all slots."""
    if taken >= limits.concurrent_replies:
        raise refusal(f"No more than {limits.concurrent_replies} replies at once", REPLY_RETRY_SECONDS)


def check_chats(existing: int, limit: int) -> None:
    """Raise `Refused` with `rate_limited` if a user has all the chats that one may have."""
    if existing >= limit:
        raise refusal(f"No more than {limit} chats; delete one first", CHATS_RETRY_SECONDS)


def until_midnight(now: datetime) -> int:
    """Return the seconds until the next day begins in UTC, rounded up."""
    tomorrow = datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
    return ceil((tomorrow - now).total_seconds())


def refusal(message: str, retry_after: int) -> Refused:
    """Return the refusal of a request over a limit. `message` names the limit, `retry_after` is in seconds."""
    return Refused(ErrorCode.RATE_LIMITED, message, retry_after)
