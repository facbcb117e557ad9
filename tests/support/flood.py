"""A user who sends far more than is allowed."""

import time
from collections import Counter
from threading import Event, Thread

from websockets.exceptions import ConnectionClosed

from tests.support.devices import Device
from tests.support.waiting import HANGS

PER_MINUTE = 20


FLOOD_PER_SECOND = 50 * PER_MINUTE / 60


class MessageFlood:
    """Mallory's two devices: each sends slower than a connection may, together far faster than a user may."""

    def __init__(self, emulator):
        self.emulator = emulator
        self.on, self.over = Event(), Event()
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
            if self.on.wait(0.05):
                number += 1
                devices[number % 2].send("message", message="/long 1", clientMessageId=f"m{number}")
                time.sleep(1 / FLOOD_PER_SECOND)
        for device in devices:
            device.socket.close()

    def listen(self, device):
        while True:
            try:
                frame = device.receive_any(60)
            except ConnectionClosed:
                return
            data = frame["data"]
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
