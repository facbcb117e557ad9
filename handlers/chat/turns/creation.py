"""Creation of a chat, within the number of chats that a user may have.

The user's item counts the chats. The count is replaced on condition that it is as it was read, so two devices at the
same moment never get more than the limit. Nobody counts a deletion: only when the limit seems to be reached, the chats
are counted in their index, and those that are gone are taken off. So the usual creation costs one write more.
"""

from __future__ import annotations

from datetime import datetime

from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.limits import policy
from handlers.chat.records import Chat
from handlers.chat.store import Store

MAX_TRIES = 10
"""The most tries of one creation. A failed try means that another chat of the same user was counted."""


def create_chat(store: Store, chat: Chat, limit: int, now: datetime) -> Chat:
    """Store a new chat and return it. If one with this id exists, return that one unchanged.

    `limit` is the most chats of a user, 0 for any number. Raises `Refused` with `rate_limited`.
    """
    if limit:
        if existing := store.chats.get(chat.user_id, chat.chat_id):
            return existing
        _count(store, chat.user_id, limit, now)
    return store.chats.add(chat, now)


def _count(store: Store, user_id: str, limit: int, now: datetime) -> None:
    for _ in range(MAX_TRIES):
        before = store.users.chat_count(user_id)
        if before is None:
            raise Refused(ErrorCode.NOT_AUTHENTICATED)
        needs_recount = before.needs_recount(limit, now)
        count = before.recounted(store.chats.count(user_id)) if needs_recount else before
        policy.check_chats(count.existing, limit)
        if store.users.replace_chat_count(user_id, before, count.with_one_more(now)):
            return
    raise policy.refusal("Too many chats at once", retry_after=1)
