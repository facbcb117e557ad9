"""Deliveries as Lambda runs them: each invocation, what it invokes, and the second try of one that dies."""

import json
from itertools import count

from pynamodb.exceptions import GetError

from handlers.chat.connections import OpenConnections
from handlers.chat.deliverer import Deliverer
from handlers.chat.delivery.delivery import Delivery
from tests.support.recording_gateway import RecordingGateway
from tests.support.runtime import FakeRuntime


class Died(Exception):
    """An invocation that ends here."""


class Lambda:
    """Runs a delivery and what it invokes. An invocation that fails is tried once more, with the same id."""

    def __init__(self, store, gateway, seconds=60.0):
        self.deliverer = Deliverer(*[OpenConnections(store, gateway, FakeRuntime(sleep=lambda _: None))] * 2)
        self.seconds = seconds
        self.payloads = []
        self.failures = 0
        self.dead_letters = []

    def run(self, to):
        pending = [to.payload()]
        while pending:
            payload = json.loads(json.dumps(pending.pop(0)))
            self.payloads.append(payload)
            for _ in ("once", "again"):
                invoked = []
                try:
                    self.deliverer.deliver(
                        Delivery.of(payload), f"id-{len(self.payloads)}", invoked.append, lambda: self.seconds
                    )
                    break
                except (Died, GetError):
                    self.failures += 1
            else:
                self.dead_letters.append(payload)
            pending += invoked


class DyingGateway(RecordingGateway):
    """Ends the invocation with the post of this number, and with the next ones to that connection, `posts` in all."""

    def __init__(self, number, posts):
        super().__init__()
        self.number, self.left = number, posts
        self.numbers = count(1)
        self.deadly = None

    def post(self, connection_id, text):
        if next(self.numbers) == self.number:
            self.deadly = connection_id
        if connection_id == self.deadly and self.left:
            self.left -= 1
            raise Died
        super().post(connection_id, text)
