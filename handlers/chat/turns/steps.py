"""Steps of a turn with tools: each finished one is stored before the next one begins, and is never made again."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta

from handlers.chat.protocol.frames import AssistantMessageStart
from handlers.chat.protocol.stream import BREAK, Script
from handlers.chat.records import Chat, Part, PartKind, PartState, Result, Step, StepCall, Turn
from handlers.chat.store import Store, StoreError
from handlers.chat.turns.lifecycle import LEASE, write_then_verify

KEPT = timedelta(days=30)
"""The time for which steps are kept. A turn that nobody goes on with for longer ends with the apology."""


def call_id(turn: Turn, number: int, place: int) -> str:
    """Return our id of a call: the same in each attempt at the turn, and unique among all calls."""
    return f"{turn.message_id}-{number:02}-{place:02}"


_PLACE = re.compile(r"-([0-9]{2})-([0-9]{2})")


def place_of(turn: Turn, call_id: str) -> tuple[int, int] | None:
    """Return the numbers of a call's step and of the call in it. Returns None for an id of no call of this turn."""
    if not call_id.startswith(turn.message_id):
        return None
    place = _PLACE.fullmatch(call_id, len(turn.message_id))
    return (int(place[1]), int(place[2])) if place else None


def store_step(store: Store, chat: Chat, turn: Turn, step: Step, now: datetime) -> Turn | None:
    """Store the next step of a worker's own turn, and return the turn as it is then, with a renewed lease.

    It awaits the user's answer to each call that needs approval. Returns None if the turn is another worker's by now,
    or is gone with its chat.
    """
    asked = [call_id(turn, step.number, place) for place, call in enumerate(step.calls) if call.needs_approval]
    then = replace(turn, steps=step.number, since=turn.attempt, lease_until=now + LEASE, awaits=frozenset(asked))
    stored = write_then_verify(
        lambda: store.steps.add(chat, turn, step, then.lease_until, now + KEPT, then.awaits),
        lambda: store.steps.attempt_of(chat.chat_id, turn.message_id, step.number) == step.attempt,
    )
    return then if stored else None


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
        kept = _result(store, key)
        if kept is None:
            raise
        return kept
    return _result(store, key)


def _result(store: Store, key: tuple[str, str, int, int]) -> Result | None:
    call = store.steps.call(*key)
    return call.result if call else None


def load_steps(store: Store, chat: Chat, turn: Turn) -> tuple[Step, ...]:
    """Return the stored steps of a turn, without a read if there are none. They are fewer if some have expired."""
    return store.steps.of_turn(chat.chat_id, turn.message_id)[: turn.steps] if turn.steps else ()


def text_of(step: Step, *, after_text: bool) -> str:
    """Return the text of a step as a part of its reply: with a break before it, if it comes after other text."""
    return f"{BREAK}{step.text}" if step.text and after_text else step.text


def part_of(turn: Turn, step: Step, place: int) -> Part:
    """Return the part that shows a call of a step as it is."""
    call = step.calls[place]
    own_id = call_id(turn, step.number, place)
    return Part(
        PartKind.TOOL_CALL,
        call_id=own_id,
        name=call.asked.name,
        arguments=call.asked.arguments,
        state=_state(call, asked=own_id in turn.awaits),
        result=call.result.text if call.result else None,
    )


def _state(call: StepCall, *, asked: bool) -> PartState:
    if call.result is not None:
        return PartState(call.result.state.value)
    return PartState.WAITING if asked and call.approved is None else PartState.RUNNING


def script_of(store: Store, chat: Chat, turn: Turn, typing: str) -> Script:
    """Return the script of a reply that waits for its user: all that is stored of it. `typing` is the start's text."""
    script = Script(
        AssistantMessageStart(
            message=typing,
            message_id=turn.message_id,
            chat_id=chat.chat_id,
            attempt=turn.attempt,
            replaces=turn.replaces,
        )
    )
    for step in load_steps(store, chat, turn):
        script.add(text_of(step, after_text=script.has_text))
        for place in range(len(step.calls)):
            script.show(part_of(turn, step, place))
    return script
