"""The chat, deployed into a simulated world: its functions, their invocations, and people with devices."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from handlers.chat.connections import OpenConnections
from handlers.chat.cost import Prices
from handlers.chat.errors import ConnectionGone, PostFailed
from handlers.chat.identity.tokens import Identity
from handlers.chat.protocol import frames
from handlers.chat.records import Chat, Connection
from handlers.chat.replies.attempt import ReplySettings
from handlers.chat.replies.worker import ReplyWorker
from handlers.chat.settings import RUSSIAN, Settings
from handlers.chat.store import StoreError
from handlers.chat.turns.actions import Action, FanOut, Generate, Post
from handlers.chat.turns.commands import Commands
from handlers.chat.turns.lifecycle import Handover
from tests.faults.reading import Reading
from tests.faults.simulation.services import (
    SimulatedFaults,
    SimulatedGateway,
    SimulatedModel,
    SimulatedServices,
    SimulatedStore,
)
from tests.faults.simulation.world import SimulatedProcess, SimulatedWorld
from tests.support.unlimited import NO_FRAME_LIMIT, UNLIMITED

USER, CHAT = "alice", "chat"
FUNCTION_SECONDS = 900.0
RETRIES = (60.0, 120.0)


class AnyToken:
    """Stands in for the authenticator: a token is the user's name."""

    def identify(self, token: str) -> Identity:
        return Identity(token, datetime.max.replace(tzinfo=UTC))


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

    # Functions

    def message(self, connection_id: str, frame: dict[str, Any]) -> None:
        """API Gateway hands a frame to `default`, in a process of its own."""
        process = self._process("default")

        def perform(action: Action) -> None:
            match action:
                case Post():
                    self._post(action)
                case FanOut():
                    for each in sorted(action.connections):
                        all(self._post(Post(frame, each)) for frame in action.frames)
                case Generate():
                    self.invoke(action.handover.payload())

        def work() -> None:
            commands = Commands(self.store, AnyToken(), self.settings, process, NO_FRAME_LIMIT)  # type: ignore[arg-type]
            commands.answer(json.dumps(frame), connection_id, perform, reference="ref")

        self.world.spawn(process, work)

    def disconnect(self, connection_id: str) -> None:
        """API Gateway tells of a disconnect, where it does not forget to."""
        self.gateway.open.pop(connection_id, None)
        if self.world.random.random() < 0.7:
            process = self._process("disconnect")

            def work() -> None:
                with suppress(StoreError):  # then the row dies by the first 410
                    self.store.connections.forget(connection_id)

            self.world.spawn(process, work)

    def _post(self, action: Post) -> bool:
        try:
            self.gateway.post(action.connection_id, frames.encode(frames.as_json(action.frame, action.request_id)))
            return True
        except ConnectionGone:
            with suppress(StoreError):
                self.store.connections.forget(action.connection_id)
        except PostFailed:
            pass
        return False

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

    def _worker(self, process: SimulatedProcess) -> ReplyWorker:
        connections = OpenConnections(self.store, self.gateway, process)  # type: ignore[arg-type]
        settings = ReplySettings(
            RUSSIAN,
            Prices(),
            history_chars=10_000,
            pace=0.05,
            tokens_per_day=self.settings.limits.tokens_per_day,
            max_completion_tokens=self.settings.max_completion_tokens,
            memory=1.0,
        )
        return ReplyWorker(
            self.store,  # type: ignore[arg-type]
            connections,
            self.model,  # type: ignore[arg-type]
            settings,
            lambda user_id, frame: None,
            process,  # type: ignore[arg-type]
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
        """The stored messages, oldest first."""
        items = self.store.tables.messages.get(CHAT, {})
        return [items[message_id] for message_id in sorted(items)]


class SimulatedDevice:
    """A client that keeps to the protocol: sends again what is not acknowledged, pings, comes back, resumes."""

    PATIENCE, PING, IDLE_PING, CHECK, SILENCE = 8.0, 5.0, 300.0, 1.0, 30.0

    def __init__(self, deployment: SimulatedDeployment, name: str) -> None:
        self.deployment, self.world, self.name = deployment, deployment.world, name
        self.connections = 0
        self.connection_id: str | None = None
        self.joined = False
        self.readings: dict[str, Reading] = {}
        self.running: str | None = None
        self.awaiting = False
        """A reply is due: its message is acknowledged."""
        self.acknowledged: dict[str, dict[str, Any]] = {}
        self.errors: list[str] = []
        self.outbox: list[str] = []
        self.present: dict[str, int] = {}
        """By which connection of this device each reply was first heard of."""
        self.shown: set[str] = set()
        """The replies whose end was shown by `chat_joined`."""
        self.ends: Counter[tuple[int, str]] = Counter()
        """How often each reply ended on each connection of this device."""
        self.subscriptions: Counter[tuple[int, str]] = Counter()
        """How often each connection asked for each reply: by being there when it began, or by a `resume`."""
        self._chat_deleted = False
        self._asked = self._pinged = self._heard = 0.0
        self.world.later(self.world.random.random(), self._tick)

    # What a person does

    def connect(self) -> None:
        if self.connection_id is not None:
            return
        self.connections += 1
        connection_id = self.connection_id = f"{self.name}{self.connections}="
        self.joined = False
        self.deployment.gateway.open[connection_id] = lambda text: self._receive(connection_id, json.loads(text))
        self.deployment.store.tables.connections[connection_id] = Connection(
            connection_id, self.world.process("x").now()
        )
        self._join()

    def disconnect(self) -> None:
        if self.connection_id is not None:
            gone, self.connection_id, self.joined = self.connection_id, None, False
            self.deployment.disconnect(gone)

    def say(self, tag: str) -> None:
        """Send a message until it is acknowledged, whatever happens to the connection."""
        if not self._chat_deleted:
            self.outbox.append(tag)
            self._send_first()

    def cancel(self) -> None:
        if self.joined and self.running:
            self._send("cancel", messageId=self.running)

    def regenerate(self) -> None:
        if self.joined:
            self._send("regenerate")

    def resume(self) -> None:
        """Join again on the same connection, as after half a minute of silence."""
        if self.joined:
            self._join()

    def forget_chat(self) -> None:
        """Hear that the chat was deleted: nothing of it is waited for any more."""
        self._chat_deleted = True
        self.running, self.awaiting = None, False
        self.outbox.clear()

    # What its client does

    def _send(self, kind: str, **data: Any) -> None:
        if self.connection_id is not None:
            self.deployment.message(self.connection_id, {"type": kind, "data": data})

    def _join(self) -> None:
        self._asked = self.world.time
        resume = {}
        if self.running:
            resume = {"resume": self.readings[self.running].resume(self.running)}
            self.subscriptions[self.connections, self.running] += 1
        self._send("join_chat", token=USER, chatId=CHAT, **resume)

    def _send_first(self) -> None:
        if self.joined and self.outbox:
            self._asked = self.world.time
            self._send("message", message=self.outbox[0], clientMessageId=self.outbox[0])

    def _tick(self) -> None:
        """Now and then: repeat what was not answered, ping while a reply is awaited."""
        if self._chat_deleted:
            return
        waiting = self.awaiting or self.running is not None or bool(self.outbox)
        if self.connection_id is not None and self.world.time - self._asked > self.PATIENCE:
            if not self.joined:
                self._join()
            else:
                self._send_first()
        if self.joined and self.running and self.world.time - max(self._heard, self._asked) > self.SILENCE:
            self._join()
        if self.joined and self.world.time - self._pinged >= (self.PING if waiting else self.IDLE_PING):
            self._pinged = self.world.time
            self._send("ping")
        self.world.later(self.CHECK, self._tick)

    def _receive(self, connection_id: str, frame: dict[str, Any]) -> None:
        self.deployment.history.append(f"{self.world.time:.6f} {connection_id} {json.dumps(frame, sort_keys=True)}")
        if connection_id == self.connection_id and not self._chat_deleted:
            self._heard = self.world.time if frame["type"] != "pong" else self._heard
            getattr(self, f"_on_{frame['type']}", lambda data: None)(frame["data"])

    def _on_chat_joined(self, data: dict[str, Any]) -> None:
        self.joined = True
        for message in data["messages"]:
            reading = self.readings.get(message["messageId"])
            if reading is not None and not reading.completes:
                reading.text = message["content"]
                self.shown.add(message["messageId"])
                if message["messageId"] == self.running:
                    self.running = None
        if "reply" in data and not self._reading(data["reply"]["messageId"]).completes:
            self.running = data["reply"]["messageId"]
        elif "reply" not in data:
            self.running, self.awaiting = None, False
        self._send_first()

    def _on_user_message(self, data: dict[str, Any]) -> None:
        tag = data.get("clientMessageId")
        if tag in self.outbox:
            self.outbox.remove(tag)
            self.acknowledged[tag] = data
        self.awaiting = self.awaiting or "duplicate" not in data

    def _on_error(self, data: dict[str, Any]) -> None:
        self.errors.append(data["code"])

    def _reading(self, message_id: str) -> Reading:
        self.present.setdefault(message_id, self.connections)
        if (self.connections, message_id) not in self.subscriptions:
            self.subscriptions[self.connections, message_id] = 1
        return self.readings.setdefault(message_id, Reading())

    def _on_assistant_message_start(self, data: dict[str, Any]) -> None:
        self._take(data, data["content"])

    def _on_assistant_message_token(self, data: dict[str, Any]) -> None:
        self._take(data, data["token"])

    def _take(self, data: dict[str, Any], piece: str) -> None:
        reading = self._reading(data["messageId"])
        if data["messageId"] in self.shown:
            return
        # An earlier reply may be announced late, while a newer one is made.
        if not reading.completes and data["messageId"] > (self.running or ""):
            self.running = data["messageId"]
        asked = reading.missing
        reading.take(data, piece)
        if reading.missing and not asked:
            self._join()

    def _on_assistant_message_complete(self, data: dict[str, Any]) -> None:
        reading = self._reading(data["messageId"])
        if data["content"] is None and data["attempt"] >= reading.attempt and len(reading.text) < data["length"]:
            self._join()
            return
        reading.end(data)
        self.ends[self.connections, data["messageId"]] += 1
        if self.running is None or self.running == data["messageId"]:
            self.running, self.awaiting = None, False
        self._send_first()


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
