"""What is left to a user of the limits on messages: read with every message, and written once for each that may pass.

The whole of `QuotaUsage` is replaced, on condition that nobody else has: two devices never get more than the limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from handlers.chat.concurrency import Runtime
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.limits import policy
from handlers.chat.limits.policy import SECOND, Limits, QuotaUsage, ReplySlot, microseconds
from handlers.chat.records import Chat
from handlers.chat.store import Store
from handlers.chat.turns import lifecycle
from handlers.chat.turns.lifecycle import Standing

TRIES = 10
"""Each one that fails means that another message of the user's has passed."""

SETTLING_SECONDS = 30
"""How long a turn may take to begin after its place was taken: the function that begins it has 29 seconds."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Takes messages from what users are allowed."""

    store: Store
    limits: Limits
    runtime: Runtime

    def spend_message(self, chat: Chat) -> None:
        """Take one message, and a place for the reply in this chat, from its user's allowance.

        Raises `Refused` with `rate_limited`, having written nothing.
        """
        if not self.limits.apply_to_messages:
            return
        for _ in range(TRIES):
            now = self.runtime.now()
            before = self.store.users.quota_usage(chat.user_id)
            if before is None:
                raise Refused(ErrorCode.NOT_AUTHENTICATED)
            after = policy.use_message(before, self.limits, now)
            self._check_tokens(chat.user_id, now)
            after = replace(after, slots=self._seated(before, chat, now))
            if self.store.users.replace_quota_usage(chat.user_id, before, after):
                return
        raise policy.refusal("Too many messages at once", retry_after=1)

    def _check_tokens(self, user_id: str, now: datetime) -> None:
        if self.limits.tokens_per_day:
            policy.check_tokens(self.store.users.tokens_used(user_id, policy.day_of(now)), self.limits, now)

    def _seated(self, spent: QuotaUsage, chat: Chat, now: datetime) -> Mapping[str, ReplySlot]:
        """Return the places with one for this chat. Whether the others' replies still run is read where it matters."""
        if not self.limits.concurrent_replies:
            return {}
        places = {chat_id: place for chat_id, place in spent.slots.items() if chat_id != chat.chat_id}
        if len(places) >= self.limits.concurrent_replies:
            places = {
                chat_id: place
                for chat_id, place in places.items()
                if _is_taken(place, self.store.chats.get(chat.user_id, chat_id), now)
            }
            policy.check_slots(len(places), self.limits)
        return places | {chat.chat_id: ReplySlot(microseconds(now), chat.last_message_id)}


def _is_taken(place: ReplySlot, chat: Chat | None, now: datetime) -> bool:
    """Tell whether the reply that a place was taken for runs, or is just about to begin.

    One whose worker is gone does not: nobody may ever look after it.
    """
    if chat is None:
        return False
    if chat.last_message_id == place.last_message_id:
        return microseconds(now) - place.since < SETTLING_SECONDS * SECOND
    return lifecycle.standing(chat.turn, now) is Standing.RUNNING
