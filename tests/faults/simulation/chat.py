"""The chat, deployed into a simulated world: its functions, their invocations, and people with devices."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from handlers.chat.assistants.registry import Assistants
from handlers.chat.connections import OpenConnections
from handlers.chat.cost import Prices
from handlers.chat.identity.tokens import Identity
from handlers.chat.records import Chat, Connection
from handlers.chat.replies.attempt import ReplySettings
from handlers.chat.replies.worker import ReplyWorker
from handlers.chat.settings import RUSSIAN, Settings
from handlers.chat.store import StoreError
from handlers.chat.turns.actions import Performer
from handlers.chat.turns.commands import Commands
from handlers.chat.turns.lifecycle import Handover
from tests.faults.client import ProtocolClient
from tests.faults.simulation.gateway import SimulatedGateway
from tests.faults.simulation.services import SimulatedFaults, SimulatedModel, SimulatedServices
from tests.faults.simulation.store import SimulatedStore
from tests.faults.simulation.world import SimulatedProcess, SimulatedWorld
from tests.support.unlimited import NO_FRAME_LIMIT, UNLIMITED

USER, CHAT = "alice", "chat"
FUNCTION_SECONDS, DEFAULT_SECONDS = 900.0, 29.0
RETRIES = (60.0, 120.0)


class AnyToken:
    """Stands in for the authenticator: a token is the user's name."""

    def identify(self, token: str) -> Identity:
        return Identity(token, datetime.max.replace(tzinfo=UTC))


class _Functions:
    """Stands in for Lambda's client: the one function that is invoked is the worker."""

    def __init__(self, deployment: SimulatedDeployment) -> None:
        self._deployment = deployment

    def invoke(self, name: str, payload: dict[str, Any]) -> None:
        self._deployment.invoke(payload)


class SimulatedDeployment:
    """One chat of one user, and the functions that serve it."""

    def __init__(self, seed: object, faults: SimulatedFaults | None = None, **limits: str) -> None:
        self.settings = Settings.of({"JWT_SECRET": "x" * 32, **UNLIMITED, **limits})
        self.world = SimulatedWorld(seed)
        self.faults = faults or SimulatedFaults()
        self.services = SimulatedServices(self.world, self.faults)
        self.store = SimulatedStore(self.services)
        self.gateway = SimulatedGateway(self.services)
        self.model = SimulatedModel(self.services)
        self.store.tables.chats[USER, CHAT] = Chat(USER, CHAT)
        self.workers: list[SimulatedProcess] = []
        self.invoked: list[dict[str, Any]] = []
        self.history: list[str] = []
        """All frames that have arrived: the time, the connection, the JSON text."""

    # Functions

    def message(self, connection_id: str, frame: dict[str, Any]) -> None:
        """API Gateway hands a frame to `default`, in a process of its own."""
        process = self._process("default")

        def work() -> None:
            commands = Commands(self.store, AnyToken(), self.settings, process, NO_FRAME_LIMIT)  # type: ignore[arg-type]
            connections = OpenConnections(self.store, self.gateway, process)  # type: ignore[arg-type]
            performer = Performer(connections, _Functions(self), "generate", process)  # type: ignore[arg-type]
            commands.answer(json.dumps(frame), connection_id, performer.perform, reference="ref")

        self.world.spawn(process, work)
        self.world.later(DEFAULT_SECONDS, process.kill)

    def disconnect(self, connection_id: str) -> None:
        """API Gateway tells of a disconnect, where it does not forget to."""
        self.gateway.open.pop(connection_id, None)
        if self.world.random.random() < 0.7:
            process = self._process("disconnect")

            def work() -> None:
                with suppress(StoreError):  # then the row dies by the first 410
                    self.store.connections.forget(connection_id)

            self.world.spawn(process, work)

    def invoke(self, payload: dict[str, Any]) -> None:
        """Lambda takes an asynchronous invocation, and runs it: at least once, most of the time."""
        faults, random = self.faults, self.world.random
        self.invoked.append(payload)
        if faults.happens(self.world, "invocation_lost"):
            return
        after = random.uniform(0.001, 0.05)
        if faults.happens(self.world, "invocation_late"):
            after = random.uniform(1, 100)
        self._attempt(payload, after, RETRIES)
        if faults.happens(self.world, "invocation_doubled"):
            self._attempt(payload, random.choice([after, random.uniform(0, 30), 3600.0]), RETRIES)

    def _attempt(self, payload: dict[str, Any], after: float, retries: tuple[float, ...]) -> None:
        process = self._process("generate")
        self.workers.append(process)

        def fail() -> None:
            if retries:
                self._attempt(payload, retries[0], retries[1:])
            else:
                self._run(self._process("give_up"), lambda worker: worker.give_up, payload, 0.0, lambda: None)

        self._run(process, lambda worker: worker.make, payload, after, fail)

    def _run(
        self,
        process: SimulatedProcess,
        entry: Callable[[ReplyWorker], Callable[[Handover, Callable[[], float]], None]],
        payload: dict[str, Any],
        after: float,
        fail: Callable[[], None],
    ) -> None:
        ended = False

        def work() -> None:
            nonlocal ended
            end = self.world.time + FUNCTION_SECONDS
            try:
                entry(self._worker(process))(Handover.of(payload), lambda: end - self.world.time)
            except StoreError:
                process.kill()
                return
            ended = True
            # Lambda freezes what is left of it.
            process.freeze(10**9)

        def watch() -> None:
            if process.dead and not ended:
                fail()
            elif not ended:
                self.world.later(0.5, watch)

        self.world.spawn(process, work, after)
        self.world.later(after, watch)

    def _worker(
        self,
        process: SimulatedProcess,
        assistants: Assistants | None = None,
        time_to_approve: timedelta = timedelta(days=7),
    ) -> ReplyWorker:
        connections = OpenConnections(self.store, self.gateway, process)  # type: ignore[arg-type]
        settings = ReplySettings(
            RUSSIAN,
            Prices(),
            history_chars=10_000,
            pace=self.settings.relay_pace,
            tokens_per_day=self.settings.limits.tokens_per_day,
            max_completion_tokens=self.settings.max_completion_tokens,
            memory=1.0,
            assistants=assistants or Assistants(),
            time_to_approve=time_to_approve,
        )
        return ReplyWorker(
            self.store,  # type: ignore[arg-type]
            connections,
            self.model,  # type: ignore[arg-type]
            settings,
            lambda user_id, frame: None,
            process,  # type: ignore[arg-type]
            hand_on=lambda handover: self.invoke(handover.payload()),
        )

    def _process(self, name: str) -> SimulatedProcess:
        skew = self.faults.skew and self.world.random.uniform(-self.faults.skew, self.faults.skew)
        return self.world.process(name, skew)

    # What came of it

    @property
    def chat(self) -> Chat | None:
        return self.store.tables.chats.get((USER, CHAT))

    @property
    def messages(self) -> list[Any]:
        """The stored messages of all branches, oldest first."""
        items = self.store.tables.messages.get(CHAT, {})
        return [items[message_id] for message_id in sorted(items)]

    @property
    def path(self) -> list[Any]:
        """The messages of the active path, oldest first."""
        found, after = [], self.chat.leaf if self.chat else None
        for message in reversed(self.messages):
            if after is None or message.message_id <= after:
                found.append(message)
                after = message.after
        return found[::-1]


class SimulatedDevice(ProtocolClient):
    """A client in the simulated world. Its connections are those of the simulated gateway."""

    def __init__(self, deployment: SimulatedDeployment, name: str) -> None:
        self.deployment, self.world = deployment, deployment.world
        super().__init__(name, USER, CHAT)

    @property
    def time(self) -> float:
        return self.world.time

    @property
    def random(self) -> Random:
        return self.world.random

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        self.world.later(seconds, action)

    def open(self, connection_id: str) -> None:
        self.deployment.gateway.open[connection_id] = lambda text: self._arrived(connection_id, text.decode())
        self.deployment.store.tables.connections[connection_id] = Connection(
            connection_id, self.world.process("x").now()
        )

    def close(self, connection_id: str) -> None:
        self.deployment.disconnect(connection_id)

    def transmit(self, frame: dict[str, Any]) -> None:
        self.deployment.message(self.connection_id or "", frame)

    def _arrived(self, connection_id: str, text: str) -> None:
        self.deployment.history.append(f"{self.world.time:.6f} {connection_id} {text}")
        self.receive(connection_id, json.loads(text))


def acknowledged(devices: list[SimulatedDevice]) -> Iterator[dict[str, Any]]:
    """The acknowledgements that the devices got, each message once."""
    seen = set()
    for device in devices:
        for data in device.acknowledged.values():
            if data["messageId"] not in seen:
                seen.add(data["messageId"])
                yield data


def running(deployment: SimulatedDeployment) -> bool:
    """Tell whether a reply is still to come."""
    chat = deployment.chat
    return chat is not None and chat.turn is not None
