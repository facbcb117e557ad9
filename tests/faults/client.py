"""A client that keeps to the protocol, wherever it runs. It notes what the promises are checked by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

from tests.faults.reading import Reading

_OF_A_REPLY = (
    "chat_joined",
    "assistant_message_start",
    "assistant_message_token",
    "assistant_message_part",
    "assistant_message_complete",
)
"""Frames that may come twice with one `requestId`: they have rules of their own."""


class ProtocolClient(ABC):
    """A device in one chat. It sends again what is not acknowledged, pings, comes back, resumes.

    A subclass says what time is, and how connections are opened and used.
    """

    PATIENCE, PING, IDLE_PING, CHECK, SILENCE = 8.0, 5.0, 300.0, 1.0, 30.0

    def __init__(self, name: str, token: str, chat_id: str) -> None:
        self.name = name
        self.chat_id = chat_id
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
        self.chat_deleted = False
        self._token = token
        self._asked = self._pinged = self._heard = 0.0
        self._requests = count(1)
        self._answers: set[tuple[str, str]] = set()
        self._resting = True
        self._looks = 0

    # What the world of a client is

    @property
    @abstractmethod
    def time(self) -> float:
        """The time in seconds, since any moment."""

    @property
    @abstractmethod
    def random(self) -> Random:
        """The random numbers of this client."""

    @abstractmethod
    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later."""

    @abstractmethod
    def open(self, connection_id: str) -> None:
        """Open a connection. `connection_id` is its name here. What it gets goes to `receive`."""

    @abstractmethod
    def close(self, connection_id: str) -> None:
        """Close the connection."""

    @abstractmethod
    def transmit(self, frame: dict[str, Any]) -> None:
        """Send a frame on the connection."""

    # What a person does

    def connect(self) -> None:
        if self.connection_id is not None:
            return
        self.connections += 1
        self.connection_id = f"{self.name}{self.connections}="
        self.joined = False
        self.open(self.connection_id)
        self._join()
        self._watch()

    def disconnect(self) -> None:
        if self.connection_id is not None:
            gone, self.connection_id, self.joined = self.connection_id, None, False
            self.close(gone)

    def say(self, tag: str) -> None:
        """Send a message until it is acknowledged, whatever happens to the connection."""
        if not self.chat_deleted:
            self.outbox.append(tag)
            self._send_first()
            self._watch()

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
        self.chat_deleted = True
        self.running, self.awaiting = None, False
        self.outbox.clear()

    # What its client does

    def text_of(self, tag: str) -> str:
        """Return the text of a message. Its tag is also its client id."""
        return tag

    def _send(self, kind: str, **data: Any) -> None:
        if self.connection_id is not None:
            self.transmit({"type": kind, "requestId": f"{self.connection_id}{next(self._requests)}", "data": data})

    def _join(self) -> None:
        self._asked = self.time
        resume = {}
        if self.running:
            resume = {"resume": self.readings[self.running].resume(self.running)}
            self.subscriptions[self.connections, self.running] += 1
        self._send("join_chat", token=self._token, chatId=self.chat_id, **resume)

    def _send_first(self) -> None:
        if self.joined and self.outbox:
            self._asked = self.time
            tag = self.outbox[0]
            self._send("message", message=self.text_of(tag), clientMessageId=tag)

    @property
    def _waits(self) -> bool:
        """True if a reply is due, or a message is not acknowledged."""
        return self.awaiting or self.running is not None or bool(self.outbox)

    def _watch(self) -> None:
        """Look now and then, if there is something to wait for. Nobody looks while a device only rests."""
        if self._resting and self.connection_id is not None and (self._waits or not self.joined):
            self._resting = False
            self._look_after(self.random.uniform(0, self.CHECK))

    def _look_after(self, seconds: float) -> None:
        self._looks += 1
        self.later(seconds, lambda look=self._looks: self._look(look))

    def _look(self, number: int) -> None:
        """Repeat what was not answered, ping. Of the looks that were planned only the newest counts."""
        if self.chat_deleted or self.connection_id is None or number != self._looks:
            self._resting = self._resting or number == self._looks
            return
        if self.time - self._asked > self.PATIENCE:
            if not self.joined:
                self._join()
            else:
                self._send_first()
        # Another device's message may come after the end of its reply. Then nothing more comes of what is awaited.
        waits_for_a_reply = self.running is not None or self.awaiting
        if self.joined and waits_for_a_reply and self.time - max(self._heard, self._asked) > self.SILENCE:
            self._join()
        until_ping = self._pinged + (self.PING if self._waits else self.IDLE_PING) - self.time
        if self.joined and until_ping <= 0:
            self._pinged = self.time
            self._send("ping")
        self._resting = self.joined and not self._waits
        self._look_after(max(self.CHECK, until_ping) if self._resting else self.CHECK)

    def receive(self, connection_id: str, frame: dict[str, Any]) -> None:
        """Take a frame from a connection. One that was left is not listened to any more."""
        if connection_id != self.connection_id or self.chat_deleted or self._repeats(frame):
            return
        self._heard = self.time if frame["type"] != "pong" else self._heard
        getattr(self, f"_on_{frame['type']}", lambda data: None)(frame["data"])
        self._watch()

    def _repeats(self, frame: dict[str, Any]) -> bool:
        """Return True for a second answer of a type to one request."""
        if "requestId" not in frame or frame["type"] in _OF_A_REPLY:
            return False
        answer = frame["type"], frame["requestId"]
        repeated = answer in self._answers
        self._answers.add(answer)
        return repeated

    def _on_chat_joined(self, data: dict[str, Any]) -> None:
        self.joined = True
        for message in data["messages"]:
            reading = self.readings.get(message["messageId"])
            if reading is not None and not reading.completes:
                reading.show(message)
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
        if data["code"] == "not_authenticated" and self.joined:
            self.joined = False
            self._join()

    def _on_chat_deleted(self, data: dict[str, Any]) -> None:
        if data["chatId"] == self.chat_id:
            self.forget_chat()

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

    def _on_assistant_message_part(self, data: dict[str, Any]) -> None:
        if data["messageId"] not in self.shown:
            self._reading(data["messageId"]).take_part(data)

    def _on_assistant_message_complete(self, data: dict[str, Any]) -> None:
        reading = self._reading(data["messageId"])
        lacks_text = data["content"] is None and reading.length < data["length"]
        lacks_parts = data["messageId"] not in self.shown and len(reading.parts) < data.get("partCount", 0)
        if data["attempt"] >= reading.attempt and (lacks_text or lacks_parts):
            self._join()
            return
        reading.end(data)
        self.ends[self.connections, data["messageId"]] += 1
        if self.running is None or self.running == data["messageId"]:
            self.running, self.awaiting = None, False
        self._send_first()
