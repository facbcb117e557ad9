"""Deletion of a chat: its item at once, so that nothing can be written to it any more, and its messages later.

The function `erase` deletes the messages, the steps of their turns and their attachments. It is invoked before anything
is deleted. So after a crash at any point there is an invocation that goes on, and there are never messages that nobody
knows of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Self

from handlers.chat.errors import ErrorCode, ParleyError, Refused
from handlers.chat.log import logger
from handlers.chat.store import Store
from handlers.chat.store.attachments import Place

RESERVE_SECONDS = 5.0
"""The rest of a function's time at which it stops, and leaves the rest to Lambda's next try."""


class Unfinished(ParleyError):
    """The function's time was over before everything was deleted. Lambda tries again, and the next try goes on."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """A chat to erase: the payload of an invocation, ids and times only.

    A client may create another chat under the same id. `created_at` tells the items of the two chats apart. Only
    messages up to `until` belong to this one.
    """

    user_id: str
    chat_id: str
    created_at: str
    until: str | None

    @classmethod
    def of(cls, payload: dict[str, Any]) -> Self:
        """Read the payload of an invocation. Raises TypeError for anything else."""
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
    """Delete a user's chat. A running reply ends when its worker looks at the chat the next time.

    `hand_over` has the messages deleted in the background. `announce` tells the user's connections. Raises `Refused`
    with `chat_not_found`.
    """
    chat = store.chats.get(user_id, chat_id)
    if chat is None or chat.created_at is None:
        raise Refused(ErrorCode.CHAT_NOT_FOUND)
    erasure = Erasure(user_id, chat_id, chat.created_at.isoformat(), chat.last_message_id)
    hand_over(erasure)
    deleted = store.chats.delete(user_id, chat_id, chat.created_at)
    if deleted is not None and deleted.last_message_id != erasure.until:
        # A message was stored between the read and the deletion.
        hand_over(replace(erasure, until=deleted.last_message_id))
    announce(user_id, chat_id)


def erase(store: Store, erasure: Erasure, announce: Callable[[str, str], None], remaining: Callable[[], float]) -> None:
    """Delete what is left of a chat. Idempotent, because events may come twice, and late.

    `remaining` returns the seconds that the function still has. Raises `Unfinished`.
    """
    created_at = datetime.fromisoformat(erasure.created_at)
    deleted = store.chats.delete(erasure.user_id, erasure.chat_id, created_at)
    until = erasure.until
    if deleted is not None:
        # The API function died before it deleted the item and told anybody.
        announce(erasure.user_id, erasure.chat_id)
        until = deleted.last_message_id
    count = 0
    for batch in _deletions(store, erasure, created_at, until):
        count += batch
        if remaining() < RESERVE_SECONDS:
            raise Unfinished(f"{count} items deleted, more to come")
    logger.info("chat_erased", items=count)


def _deletions(store: Store, erasure: Erasure, created_at: datetime, until: str | None) -> Iterator[int]:
    """Delete what belongs to a chat, batch by batch, and yield the size of each."""
    messages, steps, branches = store.messages, store.steps, store.branches
    if until is not None:
        for delete in (
            messages.delete_until,
            messages.delete_markers_until,
            steps.delete_until,
            branches.delete_until,
        ):
            yield from delete(erasure.chat_id, until)
    if store.attachments.is_there:
        yield from store.attachments.delete_all(Place(erasure.user_id, erasure.chat_id, created_at))
