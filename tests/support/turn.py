"""One turn from end to end in this process, on a real database, for what it costs there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from handlers.chat.identity.keys import SharedSecret
from handlers.chat.identity.tokens import Authenticator
from handlers.chat.ids import new_id
from handlers.chat.protocol.frames import FinishReason
from handlers.chat.records import Chat
from handlers.chat.replies.llm import Delta
from handlers.chat.settings import Settings
from handlers.chat.store import Store
from handlers.chat.turns.commands import Action, Commands, Generate
from handlers.chat.turns.lifecycle import Handover
from tests.support.capacity import Capacity
from tests.support.recording_gateway import RecordingGateway
from tests.support.reply_worker import ScriptedModel, join, reply_worker
from tests.support.unlimited import UNLIMITED

QUESTION = "And then?"


def now() -> datetime:
    """Return the moment: DynamoDB Local deletes rows whose time to live is over."""
    return datetime.now(UTC)


def begin(store: Store) -> None:
    """Make a chat of alice's with two devices in it."""
    store.add_chat(Chat("alice", "chat"), now())
    for name in ("c1=", "c2="):
        join(store, name, now=now())


def a_turn(store: Store, capacity: Capacity, number: int, limits: Mapping[str, str] = UNLIMITED) -> tuple[float, float]:
    """Ask, and have the answer made. Returns read and write units, a failed condition counted as one write.

    Not counted is the read of the connection's row, which every frame of a client costs.
    """
    capacity.clear()
    handovers: list[Handover] = []

    def perform(action: Action) -> None:
        if isinstance(action, Generate):
            handovers.append(action.handover)

    authenticator = Authenticator(SharedSecret("x" * 32), lambda identity: store.user(identity.user_id) is not None)
    settings = Settings.of(limits)
    commands = Commands(store, authenticator, settings, now=now, new_id=new_id)
    body = {"type": "message", "data": {"message": QUESTION, "clientMessageId": f"tag-{number}"}}
    commands.answer(json.dumps(body), "c1=", perform, reference="ref")
    [handover] = handovers
    model = ScriptedModel("Once ", "upon a time", Delta("", FinishReason.STOP))
    maker = reply_worker(store, RecordingGateway(), model, [], now=now, history_chars=48_000)
    replace(maker, counts_tokens=settings.limits.tokens_per_day > 0).make(handover, lambda: 900.0)
    return capacity.read_units - 1, capacity.write_units + len(capacity.refused)
