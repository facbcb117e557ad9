"""A user who sends far more than is allowed."""

import time
from collections import Counter
from threading import Event, Semaphore, Thread

from websockets.exceptions import ConnectionClosed

from tests.support.devices import Device
from tests.support.waiting import HANGS

PER_MINUTE = 20


FLOOD_PER_SECOND = 50 * PER_MINUTE / 60
UNANSWERED = 4


class MessageFlood:
    """Mallory's two devices: each sends slower than a connection may, together far faster than a user may.

    At most `UNANSWERED` messages wait for an answer: they need as many environments at once, and leave the others to
    other users, however slow the machine is.
    """

    def __init__(self, emulator):
        self.emulator = emulator
        self.on, self.over = Event(), Event()
        self._room, self._unanswered = Semaphore(UNANSWERED), set[str]()
        self.answers = Counter()
        self.waits = set()
        self.started = time.monotonic()
        devices = [Device(emulator.websocket_url) for _ in range(2)]
        devices[0].join("mallory")
        self.chat_id = devices[0].create_chat()
        devices[1].join("mallory", self.chat_id)
        self.threads = [Thread(target=self.listen, args=(device,)) for device in devices]
        self.threads += [Thread(target=self.send, args=(devices,))]
        for thread in self.threads:
            thread.start()

    def send(self, devices):
        number = 0
        while not self.over.is_set():
            if self.on.wait(0.05) and self._room.acquire(timeout=0.05):
                number += 1
                self._unanswered.add(f"m{number}")
                devices[number % 2].send("message", message="/long 1", clientMessageId=f"m{number}")
                time.sleep(1 / FLOOD_PER_SECOND)
        for device in devices:
            device.socket.close()

    def listen(self, device):
        while True:
            try:
                frame = device.receive_any()
            except ConnectionClosed:
                return
            data = frame["data"]
            if data.get("clientMessageId") in self._unanswered:
                self._unanswered.discard(data["clientMessageId"])
                self._room.release()
            if frame["type"] == "error":
                self.answers[data["code"]] += 1
                self.waits.add(data.get("retryAfter"))

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(HANGS)

    def stored(self):
        """Return how many of mallory's messages are in the table."""
        items = self.emulator.client("dynamodb").query(
            TableName="MessagesTable",
            KeyConditionExpression="chatId = :chat",
            ExpressionAttributeValues={":chat": {"S": self.chat_id}},
        )["Items"]
        return sum(item["role"]["S"] == "user" for item in items)
