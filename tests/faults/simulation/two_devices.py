"""Two devices of one user, whose frames are handled in every interleaving of their calls of the store."""

from __future__ import annotations

import itertools
import json

from handlers.chat.protocol import frames
from handlers.chat.records import Chat, Connection
from handlers.chat.turns.actions import Begin, Post
from handlers.chat.turns.commands import Commands
from tests.faults.simulation.interleaving import SteppedStore
from tests.faults.simulation.store import SimulatedStore
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
            case Begin(acknowledgement, others, _):
                self.frames += [acknowledgement.frame] if "c2=" in others else []
                self.workers += 1

    def sights(self):
        """Return how often `c2=` has seen the message: in the last chat that it was shown, and after that."""
        shown = max(at for at, frame in enumerate(self.frames) if isinstance(frame, frames.ChatJoined))
        texts = [message.content for message in self.frames[shown].messages]
        told = [frame for frame in self.frames[shown:] if isinstance(frame, frames.UserMessage)]
        return texts.count("News") + len(told)
