"""Lists, page by page, for the HTTP API: a user's chats, a chat's messages, all users.

A cursor is opaque to clients and never says whose list it is of: a made-up one is a place in one's own list at most.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from pynamodb.attributes import UTCDateTimeAttribute

from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.records import Chat, Message, User
from handlers.chat.store.tables import ChatItem, MessageItem, UserItem

Item = TypeVar("Item")
_TIME: Any = UTCDateTimeAttribute()
_LONGEST_KEY = 200


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list. `cursor` leads to the next one, None at the end."""

    items: tuple[Item, ...]
    cursor: str | None


def chats(user_id: str, limit: int, cursor: str | None) -> Page[Chat]:
    """Return a user's chats, the one with the newest message first, as the index knows them: some milliseconds late.

    A chat here has its id, title and `updated_at` only. Raises `Refused` with `invalid_format` for a cursor that was
    not given by this function.
    """
    start = _chat_key(user_id, cursor) if cursor is not None else None
    query = ChatItem.by_updated_at.query(
        user_id, scan_index_forward=False, last_evaluated_key=start, limit=limit + 1, page_size=limit + 1
    )
    found = [Chat(user_id, item.chat_id, item.title, updated_at=item.updated_at) for item in query]
    last = found[limit - 1] if len(found) > limit else None
    return Page(tuple(found[:limit]), _cursor(_TIME.serialize(last.updated_at), last.chat_id) if last else None)


def _chat_key(user_id: str, cursor: str) -> dict[str, dict[str, str]]:
    updated_at, chat_id = _keys(cursor, 2)
    try:
        moment = datetime.fromisoformat(updated_at).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _bad_cursor() from None
    return {"userId": {"S": user_id}, "updatedAt": {"S": _TIME.serialize(moment)}, "chatId": {"S": chat_id}}


def users(limit: int, cursor: str | None) -> Page[User]:
    """Return users in no order that means anything. Raises `Refused` with `invalid_format` for a bad cursor."""
    start = {"userId": {"S": _keys(cursor, 1)[0]}} if cursor is not None else None
    scan = UserItem.scan(last_evaluated_key=start, limit=limit + 1, page_size=limit + 1)
    found = [item.user() for item in scan]
    more = len(found) > limit
    return Page(tuple(found[:limit]), _cursor(found[limit - 1].user_id) if more else None)


def messages_after(chat_id: str, after: str, most: int) -> Iterator[Message]:
    """Yield a chat's messages that are newer than this id, the oldest of them first, reading `most` at a time."""
    newer = MessageItem.message_id > after
    for item in MessageItem.query(chat_id, newer, consistent_read=True, page_size=most):
        yield item.message()


def messages_from_first(chat_id: str) -> Iterator[Message]:
    """Yield all messages of a chat, the oldest first. Lazy, as a whole chat may be large."""
    for item in MessageItem.query(chat_id, consistent_read=True):
        yield item.message()


def _cursor(*keys: str | None) -> str:
    return urlsafe_b64encode(json.dumps(keys).encode()).rstrip(b"=").decode()


def _keys(cursor: str, count: int) -> list[str]:
    """Return the keys in a cursor. It comes from a client, so it may hold anything."""
    try:
        keys = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        fine = isinstance(keys, list) and all(isinstance(key, str) and 0 < len(key) <= _LONGEST_KEY for key in keys)
        if fine and len(keys) == count:
            "".join(keys).encode()
            return list(keys)
    except (ValueError, RecursionError):
        pass
    raise _bad_cursor()


def _bad_cursor() -> Refused:
    return Refused(ErrorCode.INVALID_FORMAT, "The cursor is none that this list has given")
