"""Connections that nobody authenticates."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from handlers import expire
from handlers.chat.anonymity import Anonymity
from handlers.chat.records import Connection
from tests.support.recording_queue import RecordingQueue

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def closed(monkeypatch, store):
    """The connections that are closed; `broken=` cannot be."""
    closed = []

    def close(connections, client):
        for each in connections:
            if each == "broken=":
                raise RuntimeError("no")
            closed.append(each)
        return len(closed)

    monkeypatch.setattr(expire.closing, "close", close)
    return closed


def handled(*connections):
    records = [{"messageId": f"m-{each}", "body": json.dumps({"connectionId": each})} for each in connections]
    context = SimpleNamespace(function_name="f", memory_limit_in_mb=1, invoked_function_arn="a", aws_request_id="r")
    return expire.handler({"Records": records}, context)["batchItemFailures"]


def test_one_is_looked_at_again_after_its_time_unless_that_is_never():
    queue = RecordingQueue()
    for seconds, url in ((60, "url"), (0, "url"), (60, "")):
        Anonymity(queue, url, seconds).expires("c1=")
    assert queue.sent == [{"QueueUrl": "url", "MessageBody": '{"connectionId": "c1="}', "DelaySeconds": 60}]


def test_a_connection_still_anonymous_is_closed_and_forgotten(store, closed):
    store.add_connection(Connection("anonymous=", NOON))
    store.add_connection(Connection("alices=", NOON, "alice"))
    assert handled("anonymous=", "alices=", "gone=") == []
    assert closed == ["anonymous="]
    assert store.connection("anonymous=") is None
    assert store.connection("alices=").user_id == "alice"


def test_a_failed_record_comes_again_and_does_not_stop_the_others(store, closed):
    for name in ("broken=", "anonymous="):
        store.add_connection(Connection(name, NOON))
    assert handled("broken=", "anonymous=") == [{"itemIdentifier": "m-broken="}]
    assert closed == ["anonymous="]
