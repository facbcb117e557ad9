"""Identifiers of chats and messages."""

from __future__ import annotations

import uuid

import uuid_utils

_CHATS = uuid.UUID("6f0c1f5e-6a0e-4d2b-9d57-0d1b6b1f4b7a")


def new_id() -> str:
    """Return a new UUIDv7: ids made one after the other in one process sort in that order (RFC 9562 5.7)."""
    return str(uuid_utils.uuid7())


def chat_id_of(user_id: str, client_chat_id: str) -> str:
    """Return the id of the chat that this user's device calls `client_chat_id`: the same at every call."""
    return str(uuid.uuid5(_CHATS, f"{len(user_id)}:{user_id}{client_chat_id}"))
