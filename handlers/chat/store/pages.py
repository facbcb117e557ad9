"""Pages of lists, and the cursors that lead from one to the next.

A cursor is opaque to clients. It never says whose list it belongs to: a cursor that a client makes up is only a
position in their own list.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Generic, TypeVar

from handlers.chat.errors import ErrorCode, Refused

Item = TypeVar("Item")
_MAX_KEY_CHARS = 200


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list. `cursor` leads to the next one, None at the end."""

    items: tuple[Item, ...]
    cursor: str | None


def cursor_of(*keys: str | None) -> str:
    """Return the cursor that holds these keys."""
    return urlsafe_b64encode(json.dumps(keys).encode()).rstrip(b"=").decode()


def keys_in(cursor: str, count: int) -> list[str]:
    """Return the keys in a cursor. Raises `Refused` with `invalid_format` if it does not hold `count` keys."""
    # It comes from a client, so it may hold anything: deep JSON, other types, texts that cannot be encoded.
    try:
        keys = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        fine = isinstance(keys, list) and all(isinstance(key, str) and 0 < len(key) <= _MAX_KEY_CHARS for key in keys)
        if fine and len(keys) == count:
            "".join(keys).encode()
            return list(keys)
    except (ValueError, RecursionError):
        pass
    raise bad_cursor()


def bad_cursor() -> Refused:
    """Return the refusal of a cursor that no page has given."""
    return Refused(ErrorCode.INVALID_FORMAT, "The cursor is none that this list has given")
