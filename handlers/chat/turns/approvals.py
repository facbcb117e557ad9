"""Approvals: a turn waits until its user has approved or refused calls of tools, and goes on then.

While it waits no worker runs, and none may write anything of the turn. It waits for calls only while the user can still
answer: the last answer, a cancellation, or the end of the time to answer lets the next worker go on. Each of these is
a write on the chat, which says for itself what is to follow: whoever reads the chat next does it, if the one who wrote
has died.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from enum import Enum

from handlers.chat.records import CallState, Chat, Result, Turn
from handlers.chat.store import Store, StoreError
from handlers.chat.turns import lifecycle, steps

REFUSED = Result(CallState.ERROR, "The user did not approve this call, so it was not made.")
NOT_ANSWERED = Result(CallState.ERROR, "The user was asked to approve this call and did not, so it was not made.")


class Wait(Enum):
    """The outcome of the write that lets a turn wait."""

    WAITS = "the turn waits, and no worker has it"
    ANSWERED = "the user has answered meanwhile, so its worker goes on"
    CANCELLED = "the turn is to end"
    LOST = "the turn is another worker's, or is gone with its chat"


def wait(store: Store, chat: Chat, turn: Turn, until: datetime) -> tuple[Wait, Chat]:
    """Let a worker's own turn wait for its user until a moment. Returns the chat as it is then."""
    failure: StoreError | None = None
    try:
        if waiting := store.turns.wait(chat.user_id, chat.chat_id, turn, until):
            return Wait.WAITS, waiting
    except StoreError as error:
        failure = error
    # The write may have been applied. If not, the chat says why, or the store has failed.
    then = store.chats.get(chat.user_id, chat.chat_id)
    check = lifecycle.check_lease(then, turn)
    if then is None or then.turn is None or check is lifecycle.LeaseCheck.LOST:
        return Wait.LOST, chat
    if then.turn.waiting:
        return Wait.WAITS, then
    if check is lifecycle.LeaseCheck.CANCELLED:
        return Wait.CANCELLED, then
    if then.turn.awaits:
        raise failure or StoreError("the turn does not wait")
    return Wait.ANSWERED, then


def answer(store: Store, chat: Chat, call_id: str, approved: bool) -> bool:
    """Store what the user says to a call. Returns False if nobody may say that: the first answer counts.

    The same answer again is right as long as the reply is made, however it comes: the client may not have heard of it.
    """
    turn = chat.turn
    place = steps.place_of(turn, call_id) if turn else None
    if turn is None or place is None or turn.cancelled:
        return False

    def said() -> bool:
        call = store.steps.call(chat.chat_id, turn.message_id, *place)
        return call is not None and call.approved is approved

    if call_id not in turn.awaits:
        return said()
    refusal = None if approved else REFUSED
    return lifecycle.write_then_verify(
        lambda: store.steps.answer(chat, turn.message_id, place, call_id, approved, refusal), said
    )


def is_over(turn: Turn) -> bool:
    """Return True if a turn waits for nothing any more: every call is answered, or the turn is to end."""
    return turn.waiting and (turn.cancelled or not turn.awaits)


def resume(store: Store, chat: Chat, turn: Turn, now: datetime) -> bool:
    """End the waiting of a turn, to hand it on. If several try, one gets True."""
    lease_until = now + lifecycle.LEASE
    resumed = replace(turn, waiting=False, worker="", since=turn.attempt, lease_until=lease_until)

    def applied() -> bool:
        then = store.chats.get(chat.user_id, chat.chat_id)
        return then is not None and then.turn is not None and replace(then.turn, cancelled=turn.cancelled) == resumed

    return lifecycle.write_then_verify(
        lambda: store.turns.resume(chat.user_id, chat.chat_id, turn, lease_until), applied
    )
