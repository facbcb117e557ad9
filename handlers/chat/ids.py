"""Ids of chats and messages."""

from __future__ import annotations

import uuid

import uuid_utils

_CHATS = uuid.UUID("6f0c1f5e-6a0e-4d2b-9d57-0d1b6b1f4b7a")
_BITS_BELOW_TIMESTAMP = 80
"""Bits of a UUIDv7 below its timestamp in milliseconds (RFC 9562 section 5.7)."""


def new_id() -> str:
    """Return a new UUIDv7. Ids made one after the other in one process sort in that order (RFC 9562 section 5.7)."""
    return str(uuid_utils.uuid7())


def after(previous: str | None, candidate: str) -> str:
    """Return an id that sorts after `previous`: the candidate, or a little later one if its clock was behind."""
    if previous is None or candidate > previous:
        return candidate
    # The next millisecond after `previous`, with the candidate's random bits: still a UUIDv7, and still unique.
    timestamp = (uuid.UUID(previous).int >> _BITS_BELOW_TIMESTAMP) + 1
    chance = uuid.UUID(candidate).int & ((1 << _BITS_BELOW_TIMESTAMP) - 1)
    return str(uuid.UUID(int=timestamp << _BITS_BELOW_TIMESTAMP | chance))


def chat_id_of(user_id: str, client_chat_id: str) -> str:
    """Return the id of the chat that this user's device calls `client_chat_id`. It is the same at every call."""
    # With the length in front, two pairs that join to the same text have different ids.
    return str(uuid.uuid5(_CHATS, f"{len(user_id)}:{user_id}{client_chat_id}"))
