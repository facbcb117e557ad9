"""A device that joins a chat while another one sends a message there, in every interleaving of their calls.

The device sees the message: in the chat that it is shown, or as a frame after that.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

from handlers.chat.protocol import frames
from handlers.chat.records import Chat, Connection
from handlers.chat.turns.actions import FanOut, Generate, Post
from handlers.chat.turns.commands import Commands
from tests.faults.seeds import seed_bug
from tests.faults.simulation.interleaving import SteppedStore, interleave, schedules
from tests.faults.simulation.services import SimulatedStore, SimulatedTurns
from tests.faults.simulation.two_frames import SETTINGS, NamedTokens
from tests.support.conversation import NOON, answer, ask
from tests.support.runtime import FakeRuntime
from tests.support.unlimited import NO_FRAME_LIMIT


class TwoDevices:
    """Two connections of alice's. `c1=` is in her chat. `frames` are those that `c2=` has got, the last one last."""

    def __init__(self):
        self.store = SimulatedStore()
        self.store.chats.add(Chat("alice", "a1"), NOON)
        answer(self.store, ask(self.store, "m1", "m2", chat_id="a1"))
        ids = (f"n{number:03}" for number in itertools.count(100))
        runtime = FakeRuntime(NOON, lambda: next(ids), lambda _: None)
        self.commands = Commands(SteppedStore(self.store), NamedTokens(), SETTINGS, runtime, NO_FRAME_LIMIT)
        self.frames, self.codes, self.workers = [], [], 0
        for name in ("c1=", "c2="):
            self.store.connections.add(Connection(name, NOON))
        self.join("c1=")

    def send(self, name, kind, **data):
        self.commands.answer(json.dumps({"type": kind, "data": data}), name, self.perform, reference="ref")

    def join(self, name):
        self.send(name, "join_chat", token="alice", chatId="a1")

    def message(self):
        self.send("c1=", "message", message="News", clientMessageId="tag")

    def perform(self, action):
        match action:
            case Post(frames.Error() as error):
                self.codes.append(error.code)
            case Post(frame, "c2="):
                self.frames.append(frame)
            case FanOut(sent, connections) if "c2=" in connections:
                self.frames += sent
            case Generate():
                self.workers += 1

    def sights(self):
        """Return how often `c2=` has seen the message: in the last chat that it was shown, and after that."""
        shown = max(at for at, frame in enumerate(self.frames) if isinstance(frame, frames.ChatJoined))
        texts = [message.content for message in self.frames[shown].messages]
        told = [frame for frame in self.frames[shown:] if isinstance(frame, frames.UserMessage)]
        return texts.count("News") + len(told)


def outcomes(join_before):
    """Run every interleaving, and return what became of each."""
    found = []
    for choose in schedules():
        two = TwoDevices()
        if join_before:
            two.join("c2=")
        interleave([two.message, lambda two=two: two.join("c2=")], choose, lambda: None)
        assert (two.codes, two.workers) == ([], 1)
        found.append(two.sights())
    return found


def test_a_device_that_joins_sees_the_message_once():
    found = outcomes(join_before=False)
    assert len(found) > 100
    assert set(found) == {1}


def test_a_device_that_joins_again_does_not_miss_it():
    assert min(outcomes(join_before=True)) == 1


def test_this_finds_a_message_that_is_stored_whoever_has_joined(monkeypatch):
    def careless(accept):
        def call(self, chat, message, turn):
            joins = self.tables.chats[chat.user_id, chat.chat_id].joins
            return accept(self, replace(chat, joins=joins), message, turn)

        return call

    seed_bug(monkeypatch, SimulatedTurns, "accept", careless)
    assert set(outcomes(join_before=False)) == {0, 1}
