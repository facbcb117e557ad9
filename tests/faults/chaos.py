"""Chaos around real processes: conversations of two devices, and everything that is struck while they talk."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from parley.dev_tokens import token
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.faults.client import ProtocolClient
from tests.faults.users import plan
from tests.support import contract
from tests.support.devices import SECRET, Emulator
from tests.support.process_tree import command

CHATS = 8
"""The number of users who talk at the same time, each with two devices, in one chat after the other."""

QUESTIONS = 5
QUIET_SECONDS = 600
"""The time in which everything must come to an end when nothing is struck any more: leases, retries, give-up."""

DELETED = 5
"""Of so many chats one is deleted in the middle of the conversation."""

_LOOK_SECONDS = 0.1


class ChaosDevice(ProtocolClient):
    """A client with real connections. `gateway_ids` are the names that the gateway has for them."""

    def __init__(self, url: str, name: str, user_id: str, chat_id: str, random: Random) -> None:
        self._url, self._random = url, random
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._socket: ClientConnection | None = None
        self._outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._failures = 0
        self.has_left = False
        self.gateway_ids: dict[int, str] = {}
        self.on_reply: Callable[[ChaosDevice], None] = lambda device: None
        self._begun: set[str] = set()
        super().__init__(name, token(user_id, SECRET), chat_id)

    @property
    def time(self) -> float:
        return self._loop.time()

    @property
    def random(self) -> Random:
        return self._random

    @property
    def gateway_id(self) -> str | None:
        return self.gateway_ids.get(self.connections)

    @property
    def is_settled(self) -> bool:
        """True if this device waits for nothing."""
        is_open = any(not each.completes and name not in self.shown for name, each in self.readings.items())
        waits = self.outbox or self.running or self.awaiting or is_open
        return self.chat_deleted or (self.joined and not waits)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        self._loop.call_later(seconds, action)

    def open(self, connection_id: str) -> None:
        self._socket, self._outgoing = None, asyncio.Queue()
        self._task = self._loop.create_task(self._talk(connection_id, self._outgoing))

    def close(self, connection_id: str) -> None:
        if self._socket is not None and self._random.random() < 0.5:
            self._socket.transport.abort()  # the network is lost
        elif self._task is not None:
            self._task.cancel()

    def transmit(self, frame: dict[str, Any]) -> None:
        self._outgoing.put_nowait(frame)

    def text_of(self, tag: str) -> str:
        return tag.partition(" ")[2]

    def drop(self, seconds: float) -> None:
        """Lose the connection, and come back after some seconds."""
        self.disconnect()
        self.later(seconds, self.come_back)

    def come_back(self) -> None:
        if not self.has_left:
            self.connect()

    def leave(self) -> None:
        self.has_left = True
        self.disconnect()

    async def _talk(self, connection_id: str, outgoing: asyncio.Queue[dict[str, Any]]) -> None:
        with suppress(OSError, WebSocketException, TimeoutError):
            async with connect(
                self._url, compression=None, ping_interval=None, max_queue=None, open_timeout=30, close_timeout=1
            ) as socket:
                if connection_id != self.connection_id:
                    return
                self._socket = socket
                sending = self._loop.create_task(_send_all(socket, outgoing))
                try:
                    async for text in socket:
                        frame = json.loads(text)
                        contract.received(frame)
                        self.receive(connection_id, frame)
                finally:
                    sending.cancel()
        if connection_id == self.connection_id:
            self._back_off()

    def receive(self, connection_id: str, frame: dict[str, Any]) -> None:
        if "type" in frame:  # others are the gateway's own, for a function that failed: clients ask again
            super().receive(connection_id, frame)

    def _on_connected(self, data: dict[str, Any]) -> None:
        self.gateway_ids[self.connections] = data["connectionId"]

    def _on_assistant_message_token(self, data: dict[str, Any]) -> None:
        super()._on_assistant_message_token(data)
        message_id = data["messageId"]
        if message_id not in self._begun:
            self._begun.add(message_id)
            self.on_reply(self)

    def _on_error(self, data: dict[str, Any]) -> None:
        super()._on_error(data)
        if data["code"] == "internal" and not self.joined:
            self._back_off()

    def _on_chat_joined(self, data: dict[str, Any]) -> None:
        self._failures = 0
        super()._on_chat_joined(data)

    def _back_off(self) -> None:
        """Leave a connection that failed, and come back later each time, as the protocol says."""
        pause = min(8.0, 0.5 * 2**self._failures)
        self._failures += 1
        self.drop(self._random.uniform(pause / 2, pause))


async def _send_all(socket: ClientConnection, outgoing: asyncio.Queue[dict[str, Any]]) -> None:
    with suppress(WebSocketException):
        while True:
            await socket.send(json.dumps(await outgoing.get()))


@dataclass
class Conversation:
    """One chat of one user, and what became of it."""

    user_id: str
    chat_id: str
    devices: list[ChaosDevice] = field(default_factory=list)
    deleted: bool = False
    ended: bool = False
    """No device waited for anything when the devices left."""

    @property
    def is_settled(self) -> bool:
        return self.ended or self.deleted or all(device.is_settled for device in self.devices)

    def leave(self) -> None:
        self.ended = self.is_settled
        for device in self.devices:
            device.leave()

    async def until_settled(self, seconds: float) -> bool:
        """Wait until no device waits for anything, for some seconds at most."""
        for _ in range(int(seconds / _LOOK_SECONDS)):
            if self.is_settled:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        return self.is_settled


@dataclass
class ChaosOutcome:
    """Everything that a run leaves behind for its checks."""

    conversations: list[Conversation] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    """How often each fault was applied."""


class Chaos:
    """A run: so many users talk for some seconds while everything is struck. Then nothing fails any more."""

    def __init__(self, emulator: Emulator, seed: object, chats: int = CHATS, strikes: bool = True) -> None:
        self._emulator = emulator
        self._seed = seed
        self._chats = chats
        self._strikes = strikes
        self._over = False
        self.outcome = ChaosOutcome()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, seconds: float) -> ChaosOutcome:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        await asyncio.gather(
            *(self._user(f"user{number}", Random(f"{self._seed} {number}"), end) for number in range(self._chats))
        )
        self._over = True
        await asyncio.gather(*self._tasks)
        for fault in (await self._plan("GET"))["faults"]:
            self.outcome.faults[fault["do"]] += fault["hits"]
        await self._plan("PUT", faults=[])
        for conversation in self.outcome.conversations:
            for device in conversation.devices:
                device.come_back()
        await asyncio.gather(*map(self._end, self.outcome.conversations))
        await asyncio.sleep(0.2)
        return self.outcome

    async def _end(self, conversation: Conversation) -> None:
        """Wait until a conversation is over, and ask a last question: its chat must still be usable."""
        if conversation.ended:
            return
        if await conversation.until_settled(QUIET_SECONDS):
            conversation.devices[0].say("last /long 20")
            await conversation.until_settled(QUIET_SECONDS)
        await asyncio.sleep(1)
        conversation.leave()

    def _start(self, work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _user(self, user_id: str, random: Random, end: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(random.uniform(0, 3))
        while loop.time() < end:
            conversation = await self._begin(user_id, random)
            await self._talk(conversation, random, end)
            if await conversation.until_settled(max(1.0, min(45.0, end - loop.time()))):
                conversation.leave()

    async def _begin(self, user_id: str, random: Random) -> Conversation:
        client_chat_id = f"{random.randrange(10**12)}"
        chat = await self._api("POST", "/chats", user_id, {"clientChatId": client_chat_id})
        conversation = Conversation(user_id, chat["chatId"])
        self.outcome.conversations.append(conversation)
        for name in "ab":
            own = Random(f"{random.random()} {name}")
            device = ChaosDevice(self._emulator.websocket_url, name, user_id, conversation.chat_id, own)
            device.on_reply = lambda device: self._on_reply(conversation, device)
            conversation.devices.append(device)
            device.connect()
        return conversation

    async def _talk(self, conversation: Conversation, random: Random, end: float) -> None:
        loop = asyncio.get_running_loop()
        deletion = random.randrange(QUESTIONS) if len(self.outcome.conversations) % DELETED == 2 else None
        for number in range(QUESTIONS):
            if conversation.deleted or (number > 0 and loop.time() >= end):
                return
            tokens = random.randint(*random.choice([(5, 100), (5, 100), (100, 400), (100, 400), (1_200, 2_000)]))
            random.choice(conversation.devices).say(f"{number} /long {tokens}")
            for _ in range(random.choice([0, 0, 1, 2]) if self._strikes else 0):
                await asyncio.sleep(random.uniform(0, 0.5))
                self._strike(conversation, random)
            if number == deletion:
                await asyncio.sleep(random.uniform(0, 2))
                await self._delete(conversation)
            if random.random() < 0.7:
                await conversation.until_settled(max(0.0, min(40.0, end - loop.time())))
                self._change_places(conversation, random)
            else:
                await asyncio.sleep(random.uniform(0, 2))

    def _change_places(self, conversation: Conversation, random: Random) -> None:
        """Let devices come back on new connections between two replies."""
        for device in conversation.devices:
            if self._strikes and random.random() < 0.6:
                device.drop(random.uniform(0, 0.3))

    async def _delete(self, conversation: Conversation) -> None:
        await self._api("DELETE", f"/chats/{conversation.chat_id}", conversation.user_id)
        conversation.deleted = True
        for device in conversation.devices:
            device.forget_chat()

    async def _api(self, method: str, path: str, user_id: str, body: Any = None) -> Any:
        """Send an HTTP request until it is answered: a function of it may be killed."""
        while self._emulator.process.poll() is None:
            status, content = await asyncio.to_thread(_request, f"{self._emulator.url}{path}", method, user_id, body)
            if status < 500:
                return content
            await asyncio.sleep(0.5)
        raise AssertionError("the emulator has ended")

    # What is struck

    async def _plan(self, method: str, **content: Any) -> dict[str, Any]:
        """Read or change the fault plan, however long the emulator stands still."""
        while self._emulator.process.poll() is None:
            with suppress(OSError):
                return await asyncio.to_thread(plan, self._emulator, method, **content)
            await asyncio.sleep(_LOOK_SECONDS)
        raise AssertionError("the emulator has ended")

    def _fault(self, point: str, do: str, *match: str, **more: Any) -> None:
        if not self._over:
            fault = {"point": point, "do": do, "match": match, **more}
            self._start(self._plan("POST", faults=[fault]))

    def _strike(self, conversation: Conversation, random: Random) -> None:
        """Let something happen to a conversation."""
        strikes = [self._strike_at_a_function] * 3 + [self._strike_at_a_device] * 2 + [self._strike_at_a_service]
        random.choice(strikes)(conversation, random)

    def _strike_at_a_function(self, conversation: Conversation, random: Random) -> None:
        """Kill or freeze a process: at one of its next calls for this chat, or any process now."""
        function = random.choice(["GenerateFunction"] * 3 + ["DefaultFunction"])
        call, nth = (conversation.chat_id, function), random.randint(1, 8)
        match random.randint(0, 6):
            case 0 | 1 | 2 | 3:
                self._fault("store", "kill", *call, nth=nth, after=random.random() < 0.5)
            case 4:
                self._fault("store", "freeze", *call, nth=nth, seconds=random.uniform(1, 20))
            case _:
                self._start(self._kill_a_process(random))

    def _strike_at_a_device(self, conversation: Conversation, random: Random) -> None:
        """Cut a device off, let it join again, or let it be slow."""
        device = random.choice(conversation.devices)
        match random.randint(0, 3):
            case 0 | 1:
                device.drop(random.choice([0.01, random.uniform(0, 3), random.uniform(0, 15)]))
            case 2:
                device.resume()
            case 3 if device.gateway_id:
                self._fault("post", "delay", device.gateway_id, times=20, seconds=random.uniform(0.05, 1))

    def _strike_at_a_service(self, conversation: Conversation, random: Random) -> None:
        """Let the database, the model or everything stand still. The calls that wait are carried out in the end."""
        match random.randint(0, 2):
            case 0:
                seconds, times = random.uniform(0.5, random.choice([4, 20])), random.randint(1, 10)
                self._fault("store", "delay", conversation.chat_id, "Function", times=times, seconds=seconds)
            case 1:
                do = random.choice(["stall", "stall-mid", "cut", "delay"])
                self._fault("model", do, seconds=random.uniform(0.5, 4))
            case 2:
                self._start(self._stop_everything(random.uniform(0.1, 3)))

    def _on_reply(self, conversation: Conversation, device: ChaosDevice) -> None:
        """Let something happen while the reply that begins comes, or around its end."""
        if self._strikes and device.random.random() < 0.4:
            device.later(device.random.uniform(0, 2), lambda: self._strike_in_the_middle(conversation, device))

    def _strike_in_the_middle(self, conversation: Conversation, device: ChaosDevice) -> None:
        random = device.random
        if self._over or conversation.ended:
            return
        after = random.random() < 0.5
        match random.randint(0, 9):
            case 0 | 1:
                device.drop(random.uniform(0, 0.2))
            case 2:
                device.resume()
            case 3 | 4:
                seal = (conversation.chat_id, "GenerateFunction", "TransactWriteItems")
                self._fault("store", "kill", *seal, after=after)
            case 5 if device.gateway_id:
                self._fault("post", "kill", device.gateway_id, "assistant_message_complete", after=after)
            case 6 if device.gateway_id:
                nth = random.randint(1, 3)
                self._fault("post", "kill", device.gateway_id, "assistant_message_token", after=after, nth=nth)

    async def _kill_a_process(self, random: Random) -> None:
        """Kill a process of any function, whatever it does."""
        self.outcome.faults["SIGKILL"] += await asyncio.to_thread(_kill_one, self._emulator, random)

    async def _stop_everything(self, seconds: float) -> None:
        """Stop the emulator: the database, the gateway and the model stand still."""
        self.outcome.faults["SIGSTOP"] += 1
        self._emulator.process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._emulator.process.send_signal(signal.SIGCONT)


def _request(url: str, method: str, user_id: str, body: Any) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {token(user_id, SECRET)}", "content-type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, content, headers, method=method), timeout=30) as got:
            return got.status, json.loads(got.read() or "null")
    except urllib.error.HTTPError as error:
        return error.code, None
    except OSError:
        return 599, None


def _kill_one(emulator: Emulator, random: Random) -> int:
    """Kill one process of a function with SIGKILL. Return how many were killed: none where the system does not tell."""
    processes = [
        child
        for zygote in _children(emulator.process.pid)
        if "processes.zygote" in command(zygote)  # its sibling is the guardian of the DynamoDB engine
        for child in _children(zygote)
    ]
    if not processes:
        return 0
    with suppress(ProcessLookupError):
        os.kill(random.choice(processes), signal.SIGKILL)
        return 1
    return 0


def _children(process: int) -> list[int]:
    """Return the children of a process, as Linux tells them."""
    found: list[int] = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, children.read_text().split())
    return found
