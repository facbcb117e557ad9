"""Connections that nobody authenticates, and sessions that end."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers import expire
from handlers.chat.connections import SessionDeadline
from handlers.chat.records import Connection
from tests.support.recording_gateway import ALWAYS, RecordingGateway
from tests.support.recording_queue import RecordingQueue
from tests.support.runtime import FakeRuntime
from tests.support.wiring import wiring

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def gateway():
    return RecordingGateway(failing={"broken=": ALWAYS})


@pytest.fixture
def queue():
    return RecordingQueue()


@pytest.fixture
def handled(gateway, queue):
    def handled(*connections, now=NOON + timedelta(minutes=1)):
        records = [{"messageId": f"m-{each}", "body": json.dumps({"connectionId": each})} for each in connections]
        deadline = SessionDeadline(queue, "url", 60)
        wired = wiring(gateway=gateway, runtime=FakeRuntime(now), session_deadline=deadline)
        return expire.handle({"Records": records}, wired)["batchItemFailures"]

    return handled


def ending(minutes):
    return Connection("c1=", NOON, "alice", until=NOON + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("connection", "seconds", "url", "delay"),
    [
        (Connection("c1=", NOON), 60, "url", 60),
        (Connection("c1=", NOON), 60, "", None),
        (Connection("c1=", NOON), 0, "url", 900),
        (ending(5), 60, "url", 360),
        (ending(5), 0, "url", 360),
        (ending(60), 60, "url", 900),
        (ending(118), 60, "url", 900),
        (ending(119), 60, "url", None),
        (Connection("c1=", NOON, "alice"), 60, "url", None),
    ],
)
def test_one_is_looked_at_after_its_time_unless_api_gateway_closes_it_before(queue, connection, seconds, url, delay):
    SessionDeadline(queue, url, seconds).schedule(connection, NOON)
    message = {"QueueUrl": "url", "MessageBody": '{"connectionId": "c1=", "look": 1}', "DelaySeconds": delay}
    assert queue.sent == ([message] if delay else [])


@pytest.mark.parametrize(("minutes", "closed"), [(0, False), (5, False), (5.99, False), (6, True), (30, True)])
def test_a_session_is_closed_a_minute_after_its_end_and_not_before(store, gateway, handled, queue, minutes, closed):
    store.connections.add(ending(5))
    assert handled("c1=", now=NOON + timedelta(minutes=minutes)) == []
    assert gateway.closed == (["c1="] if closed else [])
    assert (store.connections.get("c1=") is None) is closed
    assert [each["DelaySeconds"] for each in queue.sent] == ([] if closed else [math.ceil((6 - minutes) * 60)])


def test_a_new_token_moves_the_end(store, gateway, handled, queue):
    store.connections.add(ending(5))
    row = store.connections.get("c1=")
    store.connections.rebind(row, replace(row, until=NOON + timedelta(minutes=50)))
    assert handled("c1=", now=NOON + timedelta(minutes=6)) == []
    assert (gateway.closed, [each["DelaySeconds"] for each in queue.sent]) == ([], [900])


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


def chain(seconds, sessions):
    """Return the looks at a connection whose client brings a token for each of these minutes, and its last end.

    Each look is a moment in seconds since the handshake. A token comes just before the session would be closed.
    """
    queue, connection, now, looks = RecordingQueue(), Connection("c1=", NOON), NOON, []
    deadline, sessions = SessionDeadline(queue, "url", seconds), list(sessions)
    deadline.schedule(connection, now)
    while queue.sent:
        message = queue.sent.pop()
        now += timedelta(seconds=message["DelaySeconds"])
        looks.append((now - NOON).total_seconds())
        if deadline.is_over(connection, now) and not sessions:
            break
        if sessions and (deadline.is_over(connection, now + timedelta(seconds=1)) or connection.user_id is None):
            connection = replace(connection, user_id="alice", until=now + timedelta(minutes=sessions.pop(0)))
        deadline.schedule(connection, now, deadline.look_in(message["MessageBody"])[1] + 1)
    return looks, deadline.end_of(connection)


MINUTES = st.floats(0.02, 20) | st.just(0.02) | st.floats(20, 150)


@given(st.sampled_from([0, 1, 60, 900]), st.lists(MINUTES, max_size=150))
def test_lambda_never_stops_the_chain_of_looks_and_they_last_as_long_as_the_connection(seconds, sessions):
    looks, end = chain(seconds, sessions)
    # Lambda stops a chain after 16 invocations. `$connect`, which sends the first message, may be one of them.
    assert len(looks) + 1 < 16
    if end is not None:
        assert looks[-1] >= (end - NOON).total_seconds()


def test_without_new_tokens_a_session_is_closed_on_time():
    looks, end = chain(60, [110])
    assert looks == [60, *range(960, 6_661, 900), (end - NOON).total_seconds()]


def test_a_client_that_brings_many_tokens_is_looked_at_on_time_at_first_and_every_15_minutes_in_the_end():
    looks, _ = chain(60, [1] * 150)
    pauses = [later - earlier for earlier, later in itertools.pairwise(looks)]
    assert (pauses[:3], pauses[-3:], looks[-1]) == ([120, 120, 120], [900, 900, 900], 7_200)
    assert pauses == sorted(pauses)


def test_a_message_of_an_earlier_version_is_the_first_look():
    assert SessionDeadline.look_in('{"connectionId": "c1="}') == ("c1=", 1)
