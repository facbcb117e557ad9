"""How a chat is deleted: its item at once, so that nothing can be written to it any more, its messages afterwards.

The messages are the function `erase`'s, which is invoked before anything is deleted. So a crash anywhere leaves work
that is under way, never messages that nobody knows of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Self

from handlers.chat.errors import ErrorCode, ParleyError, Refused
from handlers.chat.log import logger
from handlers.chat.store import Store

RESERVE_SECONDS = 5.0
"""What is left of a function's time when it stops for its next try."""


class Unfinished(ParleyError):
    """The function's time is up before everything was deleted. Lambda tries again, and that goes on from here."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """A chat to be erased, as it is handed over: the payload of an invocation, ids and times only.

    A client may make another chat under the same id. `created_at` tells that one's item from this one's, and of the
    messages only those up to `until` are this one's.
    """

    user_id: str
    chat_id: str
    created_at: str
    until: str | None

    @classmethod
    def of(cls, payload: dict[str, Any]) -> Self:
        """Read the payload of an invocation. Raises TypeError for one that is no erasure."""
        return cls(**payload)

    def payload(self) -> dict[str, Any]:
        """Return the payload of an invocation."""
        return asdict(self)


def delete_chat(
    store: Store,
    user_id: str,
    chat_id: str,
    hand_over: Callable[[Erasure], None],
    announce: Callable[[str, str], None],
) -> None:
    """Delete a user's chat. A reply that is being made in it ends at its worker's next look at the chat.

    `hand_over` has the rest done in the background; `announce` tells the user's connections. Raises `Refused` with
    `chat_not_found`.
    """
    chat = store.chats.get(user_id, chat_id)
    if chat is None or chat.created_at is None:
        raise Refused(ErrorCode.CHAT_NOT_FOUND)
    erasure = Erasure(user_id, chat_id, chat.created_at.isoformat(), chat.last_message_id)
    hand_over(erasure)
    deleted = store.chats.delete(user_id, chat_id, chat.created_at)
    if deleted is not None and deleted.last_message_id != erasure.until:
        # Something was said between the reading and the deletion.
        hand_over(replace(erasure, until=deleted.last_message_id))
    announce(user_id, chat_id)


def erase(store: Store, erasure: Erasure, announce: Callable[[str, str], None], remaining: Callable[[], float]) -> None:
    """Delete whatever is left of a chat. Idempotent: events come twice, and late.

    `remaining` tells how many seconds the function still has. Raises `Unfinished`.
    """
    created_at = datetime.fromisoformat(erasure.created_at)
    deleted = store.chats.delete(erasure.user_id, erasure.chat_id, created_at)
    until = erasure.until
    if deleted is not None:
        # Whoever was to do this has died before it told anybody.
        announce(erasure.user_id, erasure.chat_id)
        until = deleted.last_message_id
    if until is None:
        return
    count = 0
    for delete in (store.messages.delete_until, store.messages.delete_markers_until):
        for batch in delete(erasure.chat_id, until):
            count += batch
            if remaining() < RESERVE_SECONDS:
                raise Unfinished(f"{count} items deleted, more to come")
    logger.info("chat erased", items=count)
