"""Two devices of one user in two chats: their messages, handled in every interleaving of their calls of the store."""

from __future__ import annotations

import itertools
import json

from handlers.chat.protocol import frames
from handlers.chat.records import Chat, Connection
from handlers.chat.settings import Settings
from handlers.chat.turns.actions import Begin
from handlers.chat.turns.commands import Commands
from tests.faults.simulation.interleaving import SteppedStore
from tests.faults.simulation.store import SimulatedStore
from tests.faults.simulation.two_frames import NamedTokens
from tests.support.conversation import NOON
from tests.support.runtime import FakeRuntime
from tests.support.unlimited import NO_FRAME_LIMIT, UNLIMITED


class _InOneThread(FakeRuntime):
    """A runtime in which what is done beside something is done before it."""

    def start(self, work, name):
        work()


class TwoChats:
    """Alice's connection `c1=` in her chat `a1`, `c2=` in `a2`. `begun` and `codes` are what came of their messages."""

    def __init__(self, **limits):
        self.store = SimulatedStore()
        for number in "12":
            self.store.chats.add(Chat("alice", f"a{number}"), NOON)
            self.store.connections.add(Connection(f"c{number}=", NOON, "alice", f"a{number}"))
        ids = (f"n{number:03}" for number in itertools.count(100))
        settings = Settings.of({"JWT_SECRET": "x" * 32, **UNLIMITED, **limits})
        runtime = _InOneThread(NOON, lambda: next(ids), lambda _: None)
        self.commands = Commands(SteppedStore(self.store), NamedTokens(), settings, runtime, NO_FRAME_LIMIT)
        self.begun, self.codes = [], []

    def send(self, number):
        body = {"type": "message", "data": {"message": "Hi", "clientMessageId": "mine"}}
        self.commands.answer(json.dumps(body), f"c{number}=", self.perform, reference="ref")

    def perform(self, action):
        match action:
            case Begin(handover=handover):
                self.begun.append(handover.chat_id)
            case _ if isinstance(action.frame, frames.Error):
                self.codes.append(action.frame.code)

    def stored(self):
        """Return the chats in which a message is stored."""
        return sorted(chat_id for chat_id, messages in self.store.tables.messages.items() if messages)
