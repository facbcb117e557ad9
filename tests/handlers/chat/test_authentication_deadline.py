"""Connections that nobody authenticates."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from handlers import expire
from handlers.chat.connections import AuthenticationDeadline
from handlers.chat.records import Connection
from tests.support.wiring import wiring

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Queue:
    """What is sent to SQS."""

    def __init__(self):
        self.sent = []

    def send_message(self, **message):
        self.sent.append(message)


class Gateway:
    """Keeps the connections that are closed; `broken=` cannot be."""

    def __init__(self):
        self.closed = []

    def close(self, connection_id):
        if connection_id == "broken=":
            raise RuntimeError("no")
        self.closed.append(connection_id)


@pytest.fixture
def gateway():
    return Gateway()


@pytest.fixture
def closed(gateway, store):
    return gateway.closed


@pytest.fixture
def handled(gateway):
    def handled(*connections):
        records = [{"messageId": f"m-{each}", "body": json.dumps({"connectionId": each})} for each in connections]
        return expire.handle({"Records": records}, wiring(gateway=gateway))["batchItemFailures"]

    return handled


def test_one_is_looked_at_again_after_its_time_unless_that_is_never():
    queue = Queue()
    for seconds, url in ((60, "url"), (0, "url"), (60, "")):
        AuthenticationDeadline(queue, url, seconds).schedule("c1=")
    assert queue.sent == [{"QueueUrl": "url", "MessageBody": '{"connectionId": "c1="}', "DelaySeconds": 60}]


def test_who_is_anonymous_still_is_closed_and_forgotten(store, closed, handled):
    store.connections.add(Connection("anonymous=", NOON))
    store.connections.add(Connection("alices=", NOON, "alice"))
    assert handled("anonymous=", "alices=", "gone=") == []
    assert closed == ["anonymous="]
    assert store.connections.get("anonymous=") is None
    assert store.connections.get("alices=").user_id == "alice"


def test_what_fails_comes_again_and_keeps_nothing_else_from_being_done(store, closed, handled):
    for name in ("broken=", "anonymous="):
        store.connections.add(Connection(name, NOON))
    assert handled("broken=", "anonymous=") == [{"itemIdentifier": "m-broken="}]
    assert closed == ["anonymous="]
