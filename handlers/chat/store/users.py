"""Users, and their use of quotas and tokens."""

from __future__ import annotations

from collections.abc import Iterable

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from handlers.chat.limits.budget import Reservation, TokenUse
from handlers.chat.limits.policy import ChatCount, QuotaChange, QuotaUsage
from handlers.chat.records import User
from handlers.chat.store.pages import Page, cursor_of, keys_in
from handlers.chat.store.tables import (
    CHAT_COUNT,
    QUOTA_USAGE,
    ChatCountMap,
    QuotaUsageMap,
    TokensItem,
    UserItem,
    kept_reservation,
)
from handlers.chat.store.writes import put, update


class Users:
    """The table of users, and the days of their tokens."""

    def get(self, user_id: str) -> User | None:
        """Return a user, None if there is no such user. A change of the last moment may be missing."""
        try:
            return UserItem.get(user_id).user()
        except UserItem.DoesNotExist:
            return None

    def is_enabled(self, user_id: str) -> bool:
        """Return True if a user exists and is not disabled at this moment."""
        try:
            return not UserItem.get(user_id, consistent_read=True).user().disabled
        except UserItem.DoesNotExist:
            return False

    def page(self, limit: int, cursor: str | None) -> Page[User]:
        """Return users in no order that means anything. Raises `Refused` with `invalid_format` for a bad cursor."""
        start = {"userId": {"S": keys_in(cursor, 1)[0]}} if cursor is not None else None
        scan = UserItem.scan(last_evaluated_key=start, limit=limit + 1, page_size=limit + 1)
        found = [item.user() for item in scan]
        more = len(found) > limit
        return Page(tuple(found[:limit]), cursor_of(found[limit - 1].user_id) if more else None)

    def add(self, user: User) -> bool:
        """Keep a new user. Returns False if a user with this id exists."""
        item = UserItem(
            user.user_id,
            name=user.name,
            roles=sorted(user.roles) or None,
            disabled=user.disabled or None,
            created_at=user.created_at,
        )
        return put(item, UserItem.user_id.does_not_exist())

    def set_disabled(self, user_id: str, disabled: bool) -> bool:
        """Lock a user out, or let them in again. Returns False if there is no such user."""
        return self._change(user_id, [UserItem.disabled.set(True) if disabled else UserItem.disabled.remove()])

    def set_name(self, user_id: str, name: str) -> bool:
        """Give a user another name. Returns False if there is no such user."""
        return self._change(user_id, [UserItem.name.set(name)])

    def set_roles(self, user_id: str, roles: Iterable[str]) -> bool:
        """Give a user these roles and no others. Returns False if there is no such user."""
        return self._change(user_id, [UserItem.roles.set(sorted(roles))])

    def _change(self, user_id: str, actions: list[Action]) -> bool:
        return update(UserItem(user_id), actions, UserItem.user_id.exists())

    def quota_usage(self, user_id: str) -> QuotaUsage | None:
        """Return how much of their quotas a user has used, None if there is no such user."""
        try:
            item = UserItem.get(user_id, consistent_read=True)
        except UserItem.DoesNotExist:
            return None
        kept: QuotaUsageMap | None = item.quota_usage
        return kept.usage() if kept is not None else QuotaUsage()

    def replace_quota_usage(self, user_id: str, before: QuotaUsage, after: QuotaUsage) -> bool:
        """Replace a user's quota usage. Returns False if it is no longer `before`."""
        return update(*quota_write(user_id, QuotaChange(before, after)))

    def chat_count(self, user_id: str) -> ChatCount | None:
        """Return the count of a user's chats, None if there is no such user."""
        try:
            item = UserItem.get(user_id, consistent_read=True)
        except UserItem.DoesNotExist:
            return None
        kept: ChatCountMap | None = item.chat_count
        return kept.count() if kept is not None else ChatCount()

    def replace_chat_count(self, user_id: str, before: ChatCount, after: ChatCount) -> bool:
        """Replace the count of a user's chats. Returns False if it is no longer `before`."""
        # The chats ever created are enough to compare: they rise with each replacement.
        unchanged = CHAT_COUNT.created == before.created if before.created else CHAT_COUNT.does_not_exist()
        actions = [UserItem.chat_count.set(ChatCountMap.of(after))]
        return update(UserItem(user_id), actions, UserItem.user_id.exists() & unchanged)

    def token_use(self, user_id: str, day: str) -> TokenUse:
        """Return how many of the model's tokens a user has used on a day (an ISO date)."""
        try:
            return TokensItem.get(TokensItem.partition_of(user_id), day, consistent_read=True).use()
        except TokensItem.DoesNotExist:
            return TokenUse()

    def reserve_tokens(self, user_id: str, reservation: Reservation, budget: int) -> bool:
        """Book a reservation on its day. Returns False if the `budget` of that day is used up by then.

        Of several at the same moment, one at most goes beyond the budget.
        """
        kept = kept_reservation(reservation)
        room = TokensItem.tokens.does_not_exist() | (TokensItem.tokens < budget)
        unknown = ~TokensItem.reservations.contains(kept)
        actions = [TokensItem.tokens.add(reservation.tokens), TokensItem.reservations.add({kept})]
        return update(TokensItem.of_day(user_id, reservation.day), actions, room & unknown)

    def settle_tokens(self, user_id: str, reservation: Reservation, tokens: int) -> bool:
        """Book `tokens` in place of a reservation. Returns False if it is not booked, or settled already."""
        kept = kept_reservation(reservation)
        actions = [TokensItem.tokens.add(tokens - reservation.tokens), TokensItem.reservations.delete({kept})]
        booked = TokensItem.reservations.contains(kept)
        return update(TokensItem.of_day(user_id, reservation.day), actions, booked)


def quota_write(user_id: str, change: QuotaChange) -> tuple[UserItem, list[Action], Condition]:
    """Return what a change of a user's quota usage writes: the item, the actions and the condition."""
    # Day and count are enough to compare: every message raises the count until the day changes.
    before = change.before
    if before == QuotaUsage():
        unchanged = QUOTA_USAGE.does_not_exist()
    else:
        unchanged = (QUOTA_USAGE.day == before.day) & (QUOTA_USAGE.messages == before.messages)
    actions: list[Action] = [UserItem.quota_usage.set(QuotaUsageMap.of(change.after))]
    return UserItem(user_id), actions, UserItem.user_id.exists() & unchanged
