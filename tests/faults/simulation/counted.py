"""A simulated deployment in which each call of a service takes one tick, and code takes none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from handlers.chat.records import Connection, Subscription
from tests.faults.simulation.chat import CHAT, USER, SimulatedDeployment
from tests.faults.simulation.world import BEGINNING
from tests.support.critical_path import Call, path

TICK, START = 1.0, 100.0


class _RecordedPart:
    """A part of a store. Each call is noted, and an iterator's first read."""

    def __init__(self, name: str, part: Any, note: Callable[[str, Callable[[], Any]], Any]) -> None:
        self._name, self._part, self._note = name, part, note

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._part, name)

        def call(*arguments: Any, **more: Any) -> Any:
            def work() -> Any:
                result = operation(*arguments, **more)
                return list(result) if isinstance(result, Iterator) else result

            result = self._note(f"{self._name}.{name}", work)
            return iter(result) if isinstance(result, list) else result

        return call


class CountedDeployment(SimulatedDeployment):
    """A deployment in which each call takes one tick. `calls` are those that ended before the model was asked."""

    def __init__(self, **limits: str) -> None:
        super().__init__(1, **limits)
        self.calls: list[Call] = []
        self.asked_at: float | None = None
        self.services.travel = lambda longest=0.0: self.world.sleep(TICK / 2)  # type: ignore[method-assign]
        for name in ("users", "connections", "chats", "messages", "turns", "steps"):
            setattr(self.store, name, _RecordedPart(name, getattr(self.store, name), self.note))
        post, answer = self.gateway.post, self.model.answer

        def counted_post(connection_id: str, text: bytes) -> None:
            self.note(f"post {json.loads(text)['type']}", lambda: post(connection_id, text))

        def asked(prompt: Any) -> Any:
            self.asked_at = self.asked_at or self.world.time
            return answer(prompt)

        self.gateway.post, self.model.answer = counted_post, asked  # type: ignore[method-assign]

    def note(self, name: str, work: Callable[[], Any]) -> Any:
        began = self.world.time
        result = work()
        # Nobody waits with the model's request for the note that the message is acknowledged.
        if self.asked_at is None and name != "turns.acknowledged":
            self.calls.append(Call(name, began, self.world.time))
        return result

    def invoke(self, payload: dict[str, Any]) -> None:
        self.note("Invoke", lambda: self.world.sleep(TICK))
        self._attempt(payload, 0.0, ())

    def steps(self, frame: dict[str, Any], *devices: str) -> list[str]:
        """Send a frame from the first device, and return the steps until the model is asked."""
        chat = self.store.tables.chats[USER, CHAT]
        for name in devices:
            self.store.tables.connections[name] = Connection(name, BEGINNING, USER, CHAT)
            self.gateway.open[name] = lambda text: None
            chat.subscribers[name] = Subscription("first")
        self.world.run(START)
        self.message(devices[0], frame)
        self.world.run(START + 60)
        assert self.world.failures == []
        assert self.asked_at is not None
        steps = path(self.calls)
        # The clock says the same: nothing on the way was left out.
        assert (self.asked_at - START) / TICK == len(steps)
        print(*steps, sep="\n")
        return steps
