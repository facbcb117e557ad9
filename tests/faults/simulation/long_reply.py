"""A long reply in the simulated world: its frames by device, and the read units of its worker."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from greenlet import getcurrent

from handlers.chat.records import Connection, Role, Subscription
from tests.faults.seeds import seed_bug
from tests.faults.simulation.chat import CHAT, USER, SimulatedDeployment
from tests.faults.simulation.services import SimulatedAnswer, SimulatedChats
from tests.faults.simulation.store import SimulatedStore
from tests.support.conversation import ask


class SteadyAnswer(SimulatedAnswer):
    """An answer with its first word after a second, and then so many words a second."""

    words, rate = 500, 100.0

    def __init__(self, services: Any, number: int, model: Any) -> None:
        super().__init__(services, number, model)
        self._words = [f"w{each} " for each in range(self.words)]
        self._began = services.world.time
        self._said = 0

    def _pause(self) -> None:
        world = self._services.world
        self._reader = getcurrent()
        world.wait(max(0.0, self._began + 1 + self._said / self.rate - world.time))
        self._said += 1
        self._reader = None


class LongReply:
    """A deployment with devices in its chat, and a worker that makes a long reply."""

    def __init__(self, monkeypatch, seed=0, faults=None, seconds=5.0, rate=100.0, devices=("a=",)):
        monkeypatch.setattr("tests.faults.simulation.services.SimulatedAnswer", SteadyAnswer)
        monkeypatch.setattr(SteadyAnswer, "words", round((seconds - 1) * rate))
        monkeypatch.setattr(SteadyAnswer, "rate", rate)
        self.deployment = SimulatedDeployment(seed, faults)
        self.world, self.store = self.deployment.world, self.deployment.store
        self.posts: dict[str, list[tuple[float, bytes]]] = {}
        self.gets = 0
        seed_bug(monkeypatch, SimulatedChats, "get", self._counting)
        for name in devices:
            self.enter(name)

    def _counting(self, get):
        def call(part, *arguments):
            self.gets += 1
            return get(part, *arguments)

        return call

    def enter(self, name):
        """Let a device into the chat, at once."""
        self.posts[name] = []
        self.deployment.gateway.open[name] = lambda text: self.posts[name].append((self.world.time, text))
        tables = self.store.tables
        tables.connections[name] = Connection(name, self.world.process("x").now(), USER, CHAT)
        chat = tables.chats[USER, CHAT]
        tables.chats[USER, CHAT] = replace(chat, subscribers={**chat.subscribers, name: Subscription(f"j{name}")})

    def leave(self, name):
        """Take a device out of the chat, at once."""
        chat = self.store.tables.chats[USER, CHAT]
        subscribers = {other: each for other, each in chat.subscribers.items() if other != name}
        self.store.tables.chats[USER, CHAT] = replace(chat, subscribers=subscribers)

    def cancel(self):
        chat = self.store.tables.chats[USER, CHAT]
        if chat.turn:
            self.store.tables.chats[USER, CHAT] = replace(chat, turn=replace(chat.turn, cancelled=True))

    def run(self, until=60.0):
        handover = ask(self._unhindered(), "m1", "m2")
        self.gets = 0
        self.deployment.invoke(handover.payload())
        self.world.run(until)
        assert self.world.failures == []
        return self

    def _unhindered(self):
        store = SimulatedStore()
        for part in (store.chats, store.messages, store.turns, store.connections, store.users, store.steps):
            part.tables = self.store.tables
        return store

    @property
    def reply(self):
        return next((each for each in self.deployment.messages if each.role is Role.ASSISTANT), None)

    @property
    def read_units(self):
        looks = self.store.chats.looks
        return self.gets + looks[True] + looks[False] / 2
