"""The quotas of messages and replies: read with every message, and written once for each message that may pass.

The whole of `QuotaUsage` is replaced, on condition that it is still as it was read. So two devices at the same moment
never get more than the limit. A message is stored in the same transaction; a regenerated reply begins after the write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from handlers.chat.concurrency import Runtime
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.limits import budget, policy
from handlers.chat.limits.policy import Limits, QuotaChange, QuotaUsage, ReplySlot
from handlers.chat.records import Chat
from handlers.chat.store import Store
from handlers.chat.turns import lifecycle

MAX_TRIES = 10
"""The most tries of one message. A failed try means that another message of the same user has passed."""


@dataclass(frozen=True, slots=True)
class MessageQuota:
    """The messages and replies that a user may still have."""

    store: Store
    limits: Limits
    runtime: Runtime

    def read(self, user_id: str) -> QuotaUsage | None:
        """Return what a user has used, None if there is no such user. Without limits it is not read."""
        return self.store.users.quota_usage(user_id) if self.limits.apply_to_messages else QuotaUsage()

    def charge(self, usage: QuotaUsage | None) -> lifecycle.Charge:
        """Return what decides on one message and a slot for its reply. `usage` is the usage as it was just read.

        It raises `Refused` with `rate_limited`, also after `MAX_TRIES` decisions.
        """
        tries = 1

        def charge(chat: Chat, moved: bool) -> QuotaChange | None:
            nonlocal usage, tries
            if moved:
                if tries == MAX_TRIES:
                    raise policy.refusal("Too many messages at once", retry_after=1)
                tries, usage = tries + 1, self.read(chat.user_id)
            return self._change(chat, usage)

        return charge

    def use_message(self, chat: Chat, before: QuotaUsage | None) -> None:
        """Count one message of the chat's user, and take a slot for the reply in this chat.

        `before` is the usage as it was just read. Raises `Refused` with `rate_limited`, and then nothing was written.
        """
        charge, moved = self.charge(before), False
        while change := charge(chat, moved):
            if self.store.users.replace_quota_usage(chat.user_id, change.before, change.after):
                return
            moved = True

    def _change(self, chat: Chat, usage: QuotaUsage | None) -> QuotaChange | None:
        if not self.limits.apply_to_messages:
            return None
        if usage is None:
            raise Refused(ErrorCode.NOT_AUTHENTICATED)
        now = self.runtime.now()
        after = policy.use_message(usage, self.limits, now)
        self._check_tokens(chat.user_id, now)
        return QuotaChange(usage, replace(after, slots=self._acquire_slot(usage, chat, now)))

    def _check_tokens(self, user_id: str, now: datetime) -> None:
        if self.limits.tokens_per_day:
            budget.check(self.store.users.token_use(user_id, policy.day_of(now)), self.limits, now)

    def _acquire_slot(self, usage: QuotaUsage, chat: Chat, now: datetime) -> Mapping[str, ReplySlot]:
        """Return the user's reply slots with one for this chat. Raises `Refused` with `rate_limited`.

        Nothing frees a slot when its reply ends. Only when all slots are taken, the chats that hold them are read, and
        slots without a running reply are dropped. So the usual message costs no read of other chats.
        """
        if not self.limits.concurrent_replies:
            return {}
        slots = {chat_id: slot for chat_id, slot in usage.slots.items() if chat_id != chat.chat_id}
        if len(slots) >= self.limits.concurrent_replies:
            slots = {
                chat_id: slot
                for chat_id, slot in slots.items()
                if _is_taken(slot, self.store.chats.get(chat.user_id, chat_id), now)
            }
            policy.check_slots(len(slots), self.limits)
        return slots | {chat.chat_id: ReplySlot(policy.microseconds(now), chat.last_message_id)}


def _is_taken(slot: ReplySlot, chat: Chat | None, now: datetime) -> bool:
    """Return True if the reply that a slot was taken for runs, or is about to begin.

    An abandoned reply does not count, because perhaps nobody ever recovers it.
    """
    if chat is None:
        return False
    if chat.last_message_id == slot.last_message_id:
        # The message that took the slot is not stored yet, or its function died before it was.
        return policy.microseconds(now) - slot.since < policy.SETTLING_SECONDS * policy.SECOND
    return lifecycle.state_of(chat.turn, now) is lifecycle.TurnState.RUNNING
