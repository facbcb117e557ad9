"""One turn from end to end in this process, on a real database, for what it costs there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from handlers.chat.assistants.registry import Assistants
from handlers.chat.concurrency import Runtime
from handlers.chat.identity.keys import SharedSecret
from handlers.chat.identity.tokens import Authenticator
from handlers.chat.records import Chat, FinishReason
from handlers.chat.replies.deltas import Delta
from handlers.chat.replies.model import AnyModel
from handlers.chat.settings import Settings
from handlers.chat.store import Store
from handlers.chat.turns.actions import Action, Begin, Generate
from handlers.chat.turns.commands import Commands
from handlers.chat.turns.lifecycle import Handover
from tests.support.capacity import Capacity
from tests.support.recording_gateway import RecordingGateway
from tests.support.reply_worker import ScriptedModel, join, reply_worker
from tests.support.runtime import FakeRuntime
from tests.support.unlimited import NO_FRAME_LIMIT, UNLIMITED

QUESTION = "And then?"


def now() -> datetime:
    """Return the moment: DynamoDB Local deletes rows whose time to live is over."""
    return datetime.now(UTC)


def begin(store: Store, assistant: str | None = None) -> None:
    """Make a chat of alice's with two devices in it."""
    store.chats.add(Chat("alice", "chat", assistant=assistant), now())
    for name in ("c1=", "c2="):
        join(store, name, now=now())


def a_turn(
    store: Store,
    capacity: Capacity,
    number: int,
    limits: Mapping[str, str] = UNLIMITED,
    reply: str = "Once upon a time",
    assistants: Assistants | None = None,
    model: AnyModel | None = None,
    approved: Sequence[str] = (),
) -> tuple[float, float]:
    """Ask, and have the answer made. Returns read and write units, a failed condition counted as one write.

    Not counted is the read of the connection's row, which every frame of a client costs. The calls at the places
    `approved` (`01-00`) wait for approval, and get it.
    """
    capacity.clear()
    handovers: list[Handover] = []

    def perform(action: Action) -> None:
        if isinstance(action, Begin):
            handover = action.handover
            store.turns.acknowledged(handover.user_id, handover.chat_id, handover.message_id)
        if isinstance(action, Begin | Generate):
            handovers.append(action.handover)

    def send(kind: str, **data: object) -> None:
        commands.answer(json.dumps({"type": kind, "data": data}), "c1=", perform, reference="ref")

    authenticator = Authenticator(
        SharedSecret("x" * 32), lambda identity: store.users.get(identity.user_id) is not None, Runtime()
    )
    settings = replace(Settings.of(limits), assistants=assistants or Assistants())
    commands = Commands(store, authenticator, settings, FakeRuntime(now), NO_FRAME_LIMIT)
    send("message", message=QUESTION, clientMessageId=f"tag-{number}")
    [handover] = handovers
    model = model or ScriptedModel(reply[:5], reply[5:], Delta("", FinishReason.STOP))
    worker = reply_worker(
        store,
        RecordingGateway(),
        model,
        [],
        now=now,
        history_chars=48_000,
        tokens_per_day=settings.limits.tokens_per_day,
        assistants=settings.assistants,
    )
    worker.make(handover, lambda: 900.0)
    for place in approved:
        send("approve", callId=f"{handover.message_id}-{place}", approved=True)
    for later in handovers[1:]:
        worker.make(later, lambda: 900.0)
    return capacity.read_units - 1 - len(approved), capacity.write_units + len(capacity.refused)
