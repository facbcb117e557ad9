"""Steps of a turn, with tools or an own agent: each finished one is stored before it is used, and never repeated."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from handlers.chat.records import Chat, NamedStep, Result, Step, Turn
from handlers.chat.store import Store, StoreError
from handlers.chat.turns.lifecycle import LEASE, write_then_verify

KEPT = timedelta(days=30)
"""The time for which steps are kept. A turn that nobody goes on with for longer ends with the apology."""


def call_id(turn: Turn, number: int, place: int) -> str:
    """Return our id of a call: the same in each attempt at the turn, and unique among all calls."""
    return f"{turn.message_id}-{number:02}-{place:02}"


def store_step(store: Store, chat: Chat, turn: Turn, step: Step, now: datetime) -> Turn | None:
    """Store the next step of a worker's own turn, and return the turn as it is then, with a renewed lease.

    Returns None if the turn is another worker's by now, or is gone with its chat.
    """
    lease_until = now + LEASE
    stored = write_then_verify(
        lambda: store.steps.add(chat, turn, step, lease_until, now + KEPT),
        lambda: store.steps.attempt_of(chat.chat_id, turn.message_id, step.number) == step.attempt,
    )
    return replace(turn, steps=step.number, since=turn.attempt, lease_until=lease_until) if stored else None


def store_result(store: Store, chat: Chat, turn: Turn, number: int, place: int, result: Result) -> Result | None:
    """Store the result of a call, and return the one that counts. Returns None if the step is gone with its chat.

    The first result that is stored counts: a worker that slept and one that has taken over show the same.
    """
    key = chat.chat_id, turn.message_id, number, place
    try:
        if store.steps.finish(*key, result):
            return result
    except StoreError:
        # It may have been stored, or another one before it.
        kept = store.steps.result(*key)
        if kept is None:
            raise
        return kept
    return store.steps.result(*key)


def load_steps(store: Store, chat: Chat, turn: Turn) -> tuple[Step, ...]:
    """Return the stored steps of a turn, without a read if there are none. They are fewer if some have expired."""
    return store.steps.of_turn(chat.chat_id, turn.message_id)[: turn.steps] if turn.steps else ()


def store_named(store: Store, chat: Chat, turn: Turn, step: NamedStep, count: int, now: datetime) -> bool:
    """Store a named step of a worker's own turn, and renew the lease. `count` is the number of its steps with this one.

    Returns False if the turn is another worker's by now, or is gone with its chat.
    """
    key = chat.chat_id, turn.message_id, step.name, step.number
    return write_then_verify(
        lambda: store.steps.keep(chat, turn, step, count, now + LEASE, now + KEPT),
        lambda: store.steps.attempt_of_named(*key) == step.attempt,
    )


def load_named(store: Store, chat: Chat, turn: Turn) -> tuple[NamedStep, ...]:
    """Return the stored named steps of a turn, without a read if there are none."""
    return store.steps.named(chat.chat_id, turn.message_id) if turn.steps else ()
