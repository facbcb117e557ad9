"""A turn that asks its user for an approval, and what may happen to it at once."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta

from handlers.chat.protocol import frames
from handlers.chat.records import Chat, Connection, Step, StepCall, ToolCall
from handlers.chat.turns import approvals, steps
from handlers.chat.turns.actions import Generate, Post
from handlers.chat.turns.approvals import Wait
from handlers.chat.turns.commands import Commands
from tests.faults.simulation.interleaving import SteppedStore
from tests.faults.simulation.store import SimulatedStore
from tests.faults.simulation.two_frames import SETTINGS, NamedTokens
from tests.support.conversation import NOON, ask, claim
from tests.support.runtime import FakeRuntime
from tests.support.unlimited import NO_FRAME_LIMIT

CALL = "m2-01-00"


class AskingTurn:
    """A turn of alice's, whose worker has stored a step with a call that needs approval. `waits`: it waits already.

    `c1=` and `c2=` are in the chat. `workers` counts those that were started, `told` are the frames for `c3=`.
    """

    def __init__(self, *, waits: bool) -> None:
        self.store = SimulatedStore()
        self.store.chats.add(Chat("alice", "a1"), NOON)
        self.stepped = SteppedStore(self.store)
        ids = (f"n{number:03}" for number in itertools.count(100))
        # No two reads of the clock give one moment, as on two machines: a lease tells whose write was applied.
        moments = (NOON + timedelta(milliseconds=number) for number in itertools.count())
        runtime = FakeRuntime(lambda: next(moments), lambda: next(ids), lambda _: None)
        self.commands = Commands(self.stepped, NamedTokens(), SETTINGS, runtime, NO_FRAME_LIMIT)
        self.workers, self.joins, self.told, self.codes = 0, 0, [], []
        self.outcome: Wait | None = None
        self.followed: set[str] = set()
        for name in ("c1=", "c2=", "c3="):
            self.store.connections.add(Connection(name, NOON))
        for name in ("c1=", "c2="):
            self.send(name, "join_chat", token="alice", chatId="a1")
        self.send("c3=", "join_chat", token="alice")
        turn = claim(self.store, ask(self.store, "m1", "m2", chat_id="a1"))
        step = Step(1, 1, (StepCall(ToolCall("pay", "{}"), needs_approval=True),), "I ask.")
        self.turn = steps.store_step(self.store, self.chat, turn, step, NOON)
        if waits:
            self.wait()

    @property
    def chat(self) -> Chat:
        return self.store.chats.get("alice", "a1")

    def send(self, name: str, kind: str, **data: object) -> None:
        self.commands.answer(
            json.dumps({"type": kind, "data": data}), name, lambda action: self._perform(action), reference="ref"
        )

    def _perform(self, action: object) -> None:
        match action:
            case Generate():
                self.workers += 1
            case Post(frames.Error() as error):
                self.codes.append(error.code.value)
            case Post(frame, "c3="):
                self.told.append(frame.type)

    # What happens at once

    def wait(self) -> None:
        chat = Chat("alice", "a1")
        self.outcome, then = approvals.wait(self.stepped, chat, self.turn, NOON + timedelta(days=7))
        if self.outcome is Wait.WAITS:
            self.followed = set(then.subscribers)

    def approve(self) -> None:
        self.send("c1=", "approve", callId=CALL, approved=True)

    def refuse(self) -> None:
        self.send("c2=", "approve", callId=CALL, approved=False)

    def cancel(self) -> None:
        self.send("c1=", "cancel")

    def ping(self) -> None:
        self.send("c2=", "ping")

    def join(self) -> None:
        self.joins += 1
        self.send("c3=", "join_chat", chatId="a1")

    def delete(self) -> None:
        self.stepped.chats.delete("alice", "a1", NOON)
        list(self.stepped.steps.delete_until("a1", "m2"))

    def check(self) -> None:
        """Check what must hold after every step."""
        kept = self.store.tables.steps.get(("a1", "m2"), {})
        for step in kept.values():
            for call in step.calls:
                refused = call.approved is False
                assert (call.result is not None) == refused, "an answer is half stored"
                awaited = self.chat is not None and self.chat.turn is not None and CALL in self.chat.turn.awaits
                assert self.chat is None or awaited == (call.approved is None), "an answer is half stored"

    def check_at_the_end(self) -> None:
        assert "internal" not in self.codes
        if self.chat is None:
            assert ("a1", "m2") not in self.store.tables.steps, "something of a deleted chat is left"
            return
        turn = self.chat.turn
        goes_on = self.outcome in (Wait.ANSWERED, Wait.CANCELLED)
        assert not approvals.is_over(turn), "the turn waits for nothing"
        has_begun = self.outcome is Wait.WAITS and not turn.waiting
        assert self.workers == has_begun, "not exactly one worker goes on"
        if "c3=" in self.chat.subscribers:
            by_join, by_worker = "assistant_message_start" in self.told, "c3=" in self.followed
            # A worker that goes on, or is started, follows all subscribers.
            assert by_join or by_worker or goes_on or self.workers or self.outcome is None, "a device is shown nothing"
            # One that joins again is shown all of it again.
            assert not (by_join and by_worker) or self.joins > 1, "a device is shown the reply twice"
