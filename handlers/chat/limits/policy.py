"""What a user may do, decided on plain values: token buckets, the counters of a day, places for running replies.

A bucket is kept as one moment: when it will be full again (the generic cell rate algorithm, ITU-T I.371, calls it the
theoretical arrival time). Moments and spans are whole microseconds, so that nothing is lost to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from math import ceil

from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.protocol.frames import Usage

SECOND = 1_000_000
MINUTE = 60 * SECOND

CHARACTERS_PER_TOKEN = 3
"""By which tokens are estimated: about 4 in English, 3 in Russian."""

REPLY_SECONDS = 5
"""What a client is asked to wait for one of its replies to end."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one user may do; 0 is no limit. `frames_per_second` is each connection's."""

    messages_per_minute: int = 0
    messages_per_day: int = 0
    tokens_per_day: int = 0
    connections_per_user: int = 0
    concurrent_replies: int = 0
    frames_per_second: int = 0

    @property
    def apply_to_messages(self) -> bool:
        """Tell whether any of them is one of messages."""
        return any((self.messages_per_minute, self.messages_per_day, self.tokens_per_day, self.concurrent_replies))


@dataclass(frozen=True, slots=True)
class Bucket:
    """Holds `size` tokens; a new one comes every `interval` microseconds. Full at first."""

    size: int
    interval: int

    @classmethod
    def of(cls, size: int, tokens: int, span: int) -> Bucket:
        """Return a bucket that gets so many tokens in a span, and never more."""
        return cls(size, ceil(span / tokens))

    def take(self, full_at: int, now: int) -> int:
        """Take a token, be there one or not, and return when the bucket will be full then."""
        return max(now, full_at) + self.interval

    def wait(self, full_at: int, now: int) -> int:
        """Return how long it is until there is a token: 0 where there is one."""
        return max(0, self.take(full_at, now) - now - self.size * self.interval)


@dataclass(frozen=True, slots=True)
class ReplySlot:
    """A chat's place among the running replies, taken at `since`, when `last_message_id` was its newest message."""

    since: int
    last_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class QuotaUsage:
    """What a user has used up: messages of a `day` (its ISO date), the minute's bucket, places for replies by chat."""

    day: str = ""
    messages: int = 0
    full_at: int = 0
    slots: Mapping[str, ReplySlot] = field(default_factory=dict)


def microseconds(moment: datetime) -> int:
    """Return a moment as microseconds since the epoch."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def day_of(moment: datetime) -> str:
    """Return the UTC day of a moment, as an ISO date."""
    return moment.astimezone(UTC).date().isoformat()


def use_message(usage: QuotaUsage, limits: Limits, now: datetime) -> QuotaUsage:
    """Return what a user has used up after one more message. Raises `Refused` with `rate_limited`.

    Each result differs from what it was made of: `messages` rises until the day changes. A clock that lags behind
    does not bring the day before back.
    """
    day = max(usage.day, day_of(now))
    messages = usage.messages if day == usage.day else 0
    if limits.messages_per_day and messages >= limits.messages_per_day:
        raise refusal(f"No more than {limits.messages_per_day} messages a day", until_midnight(now))
    full_at = _take_from_minute(usage.full_at, limits, microseconds(now)) if limits.messages_per_minute else 0
    return replace(usage, day=day, messages=messages + 1, full_at=full_at)


def _take_from_minute(full_at: int, limits: Limits, now: int) -> int:
    bucket = Bucket.of(limits.messages_per_minute, limits.messages_per_minute, MINUTE)
    if full_at > now + 2 * MINUTE:
        # Only a clock that is wrong by more than a minute writes that. One message passes, and puts it right.
        full_at = now + (bucket.size - 1) * bucket.interval
    if wait := bucket.wait(full_at, now):
        raise refusal(f"No more than {limits.messages_per_minute} messages a minute", ceil(wait / SECOND))
    return bucket.take(full_at, now)


def check_tokens(used: int, limits: Limits, now: datetime) -> None:
    """Raise `Refused` with `rate_limited` where the day's tokens are used up."""
    if used >= limits.tokens_per_day:
        raise refusal(f"No more than {limits.tokens_per_day} tokens of the model a day", until_midnight(now))


def check_slots(taken: int, limits: Limits) -> None:
    """Raise `Refused` with `rate_limited` where so many running replies in other chats are as many as there may be."""
    if taken >= limits.concurrent_replies:
        raise refusal(f"No more than {limits.concurrent_replies} replies at once", REPLY_SECONDS)


def until_midnight(now: datetime) -> int:
    """Return the seconds until the next day begins in UTC, rounded up."""
    tomorrow = datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
    return ceil((tomorrow - now).total_seconds())


def refusal(message: str, retry_after: int) -> Refused:
    """Return what is raised over a limit: its name, and how many seconds to wait."""
    return Refused(ErrorCode.RATE_LIMITED, message, retry_after)


def tokens_of(usage: Usage | None, characters: int) -> int:
    """Return the tokens of a reply: as the model's server counted, else estimated from prompt's and reply's length."""
    if usage is not None:
        return usage.prompt_tokens + usage.completion_tokens
    return ceil(characters / CHARACTERS_PER_TOKEN)
