"""Users with devices on a running emulator, and faults around them."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Condition, Thread
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.faults.reading import Reading
from tests.support import contract
from tests.support.devices import Device, Emulator
from tests.support.waiting import HANGS

PING_SECONDS = 5.0
_USERS = count()
USERS = 200
APOLOGY = "Sorry, something went wrong while processing your message."
ENDLESS = "/long 100000"
"""A message whose reply takes eight minutes. It is for a test that does something while the reply runs, and ends it."""


def plan(emulator: Emulator, method: str, **content: Any) -> dict[str, Any]:
    """Replace the emulator's fault plan (`PUT`) or add to it (`POST`). Returns it, with what it has hit."""
    body = json.dumps(content).encode() if content else None
    request = urllib.request.Request(f"{emulator.url}/_parley/faults", body, method=method)
    with urllib.request.urlopen(request, timeout=HANGS) as answer:
        return dict(json.loads(answer.read()))


class ChatUser:
    """A user of their own, with one device in one chat. The device pings while `pinging`, as the protocol advises.

    `chat` is what a new chat is created with.
    """

    def __init__(
        self,
        emulator: Emulator,
        user_id: str | None = None,
        chat_id: str | None = None,
        pinging: bool = True,
        **chat: str,
    ):
        self.emulator = emulator
        self.user_id = user_id or f"user{next(_USERS)}"
        self.pinging = pinging
        self.frames: list[dict[str, Any]] = []
        self.arrived: list[float] = []
        self.readings: dict[str, Reading] = {}
        self.changed = Condition()
        self.device = Device(emulator.websocket_url)
        self.connection_id = self.device.connection_id()
        self.device.join(self.user_id)
        if chat_id is None:
            self.chat_id = self.device.create_chat(**chat)
        else:
            self.chat_id = chat_id
        Thread(target=self._listen, daemon=True).start()
        Thread(target=self._ping, daemon=True).start()
        if chat_id is not None:
            self.join()
            emulator.until_in_chat(self.user_id, chat_id, self.connection_id)

    def join(self, resume: dict[str, Any] | None = None) -> dict[str, Any]:
        """Join the chat and return what `chat_joined` says."""
        before = len(self.frames)
        self.send("join_chat", chatId=self.chat_id, **({"resume": resume} if resume else {}))
        return self.wait("chat_joined", after=before)["data"]

    def fault(self, point: str, do: str, *match: str, **more: Any) -> None:
        """Let something go wrong that has to do with this chat, or with what `match` says."""
        fault = {"point": point, "do": do, "match": [*(match or (self.chat_id,))], **more}
        plan(self.emulator, "POST", faults=[fault])

    def send(self, kind: str, **data: Any) -> None:
        self.device.send(kind, **data)

    def say(self, text: str, **data: Any) -> dict[str, Any]:
        """Send a message and return its acknowledgement."""
        before = len(self.frames)
        self.send("message", message=text, **data)
        return self.wait("user_message", after=before)["data"]

    def wait(self, kind: str, timeout: float = HANGS, after: int = 0, **data: Any) -> dict[str, Any]:
        """The first frame of a kind whose data holds this, beyond those `after` which one looks."""

        def found() -> dict[str, Any] | None:
            fitting = (frame for frame in self.frames[after:] if frame["type"] == kind)
            return next((frame for frame in fitting if data.items() <= frame["data"].items()), None)

        return self.until(found, timeout)

    def until(self, found: Callable[[], Any], timeout: float = HANGS) -> Any:
        """Wait until a condition holds, and return what it found."""
        with self.changed:
            if not self.changed.wait_for(found, timeout):
                kinds = [(frame["type"], frame["data"].get("code")) for frame in self.frames]
                raise AssertionError(f"not in {timeout} s; there were {kinds}")
            return found()

    def reply(self, timeout: float = HANGS, after: int = 0) -> Reading:
        """Wait for the end of the reply to the newest message here, and return what this device has of it."""
        complete = self.wait("assistant_message_complete", timeout, after)
        return self.readings[complete["data"]["messageId"]]

    def ask(self, text: str = "Hello", timeout: float = HANGS, **data: Any) -> Reading:
        """Send a message, and wait for the end of its reply."""
        after = len(self.frames)
        self.say(text, **data)
        return self.reply(timeout, after)

    def ended_at(self) -> float:
        """When the end of the newest reply came."""
        kinds = [frame["type"] for frame in self.frames]
        return self.arrived[len(kinds) - 1 - kinds[::-1].index("assistant_message_complete")]

    def leave(self) -> None:
        self.pinging = False
        self.device.socket.close()

    def stored(self) -> list[dict[str, Any]]:
        """The messages of the chat as the table has them, oldest first."""
        answer = self.emulator.client("dynamodb").query(
            TableName="MessagesTable",
            KeyConditionExpression="chatId = :chat",
            ExpressionAttributeValues={":chat": {"S": self.chat_id}},
            ConsistentRead=True,
        )
        return [{name: next(iter(value.values())) for name, value in item.items()} for item in answer["Items"]]

    def chat(self) -> dict[str, Any]:
        """The chat as the table has it; nothing where it is gone."""
        key = {"userId": {"S": self.user_id}, "chatId": {"S": self.chat_id}}
        answer = self.emulator.client("dynamodb").get_item(TableName="ChatsTable", Key=key, ConsistentRead=True)
        return dict(answer.get("Item", {}))

    def _listen(self) -> None:
        try:
            while True:
                self._take(json.loads(self.device.socket.recv()))
        except ConnectionClosed:
            return

    def _take(self, frame: dict[str, Any]) -> None:
        contract.received(frame)
        if "type" not in frame:
            return  # API Gateway's own, for a function that failed: clients wait for an answer, and ask again
        data = frame["data"]
        with self.changed:
            self.frames.append(frame)
            self.arrived.append(time.monotonic())
            if frame["type"].startswith("assistant_message"):
                self.readings.setdefault(data["messageId"], Reading()).take_frame(frame)
            self.changed.notify_all()

    def _ping(self) -> None:
        while self.pinging:
            time.sleep(PING_SECONDS)
            try:
                self.send("ping")
            except ConnectionClosed:
                return


def check(user: ChatUser, readings: int = 1) -> None:
    """Check the promises of the protocol for a chat whose turns are over."""
    stored = user.stored()
    assert [message["role"] for message in stored] == ["user", "assistant"] * (len(stored) // 2)
    assert int(user.chat()["messageCount"]["N"]) == len(stored)
    replies = {message["messageId"]: message["content"] for message in stored if message["role"] == "assistant"}
    parts = {message["messageId"]: json.loads(message.get("parts", "[]")) for message in stored}
    ended = {message_id: reading for message_id, reading in user.readings.items() if reading.completes}
    assert len(ended) >= readings
    for message_id, reading in ended.items():
        assert reading.completes[0]["content"] in (replies[message_id], None)
        assert [{"index": index, **part} for index, part in sorted(reading.parts.items())] == parts[message_id]
        assert len(reading.completes) == 1, "not exactly one end"
        assert reading.late == [], "something after the end"


class Race:
    """Two devices that send a message at the same time. The one that wins cancels the reply at the end.

    No reply ends by itself. A short one can be over before the message of the other device is handled, because the
    function that handles it may have to start first. Then that message is not too early, and begins a turn too.
    """

    def __init__(self, number, devices):
        self.number, self.devices = number, devices
        self.before = [len(device.frames) for device in devices]

    def name_of(self, device):
        return f"race {self.number} of {device.connection_id}"

    def start(self):
        def send(device):
            device.send("message", message=ENDLESS, clientMessageId=self.name_of(device))

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(send, self.devices))

    def check(self):
        """Wait for the end of the race, and return the device that won."""
        won = [device.wait("user_message", after=after)["data"] for device, after in self.both()]
        assert won[0] == won[1]
        names = [self.name_of(device) for device in self.devices]
        winner = self.devices[names.index(won[0]["clientMessageId"])]
        for device, after in self.both():
            if device is not winner:
                refusal = device.wait("error", after=after, clientMessageId=self.name_of(device))
                assert refusal["data"]["code"] == "busy"
        winner.send("cancel")
        for device, after in self.both():
            assert device.reply(after=after).completes[0]["finishReason"] == "cancelled"
        return winner

    def both(self):
        return zip(self.devices, self.before, strict=True)
