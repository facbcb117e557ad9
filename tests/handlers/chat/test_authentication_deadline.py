"""Connections that nobody authenticates."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from handlers import expire
from handlers.chat.connections import AuthenticationDeadline
from handlers.chat.records import Connection
from tests.support.recording_gateway import ALWAYS, RecordingGateway
from tests.support.recording_queue import RecordingQueue
from tests.support.wiring import wiring

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def gateway():
    return RecordingGateway(failing={"broken=": ALWAYS})


@pytest.fixture
def handled(gateway):
    def handled(*connections):
        records = [{"messageId": f"m-{each}", "body": json.dumps({"connectionId": each})} for each in connections]
        return expire.handle({"Records": records}, wiring(gateway=gateway))["batchItemFailures"]

    return handled


def test_one_is_looked_at_again_after_its_time_unless_that_is_never():
    queue = RecordingQueue()
    for seconds, url in ((60, "url"), (0, "url"), (60, "")):
        AuthenticationDeadline(queue, url, seconds).schedule("c1=")
    assert queue.sent == [{"QueueUrl": "url", "MessageBody": '{"connectionId": "c1="}', "DelaySeconds": 60}]


def test_a_connection_still_anonymous_is_closed_and_forgotten(store, gateway, handled):
    store.connections.add(Connection("anonymous=", NOON))
    store.connections.add(Connection("alices=", NOON, "alice"))
    assert handled("anonymous=", "alices=", "gone=") == []
    assert gateway.closed == ["anonymous="]
    assert store.connections.get("anonymous=") is None
    assert store.connections.get("alices=").user_id == "alice"


def test_a_failed_record_comes_again_and_does_not_stop_the_others(store, gateway, handled):
    for name in ("broken=", "anonymous="):
        store.connections.add(Connection(name, NOON))
    assert handled("broken=", "anonymous=") == [{"itemIdentifier": "m-broken="}]
    assert gateway.closed == ["broken=", "anonymous="]
    assert store.connections.get("broken=") is not None
