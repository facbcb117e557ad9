"""Minutes and hours of the gateway that pass at once (docs/aws.md section 3)."""

import json

import pytest

from tests.support import noting_project
from tests.support.tried import rows, send_event, tried
from tests.support.waiting import HANGS, until


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with tried(noting_project.make(tmp_path_factory.mktemp("project")), "--iam", "off") as parley:
        yield parley


@pytest.fixture
def parley(running):
    running.reset()
    return running


def answer(client):
    client.send("hello")
    return json.loads(client.receive(HANGS))


def test_a_connection_without_data_is_closed_after_ten_minutes(parley):
    client = parley.connect()
    # The machine's own time passes too: 200 s of it are too little for the end, on any machine.
    for _ in range(2):
        parley.advance(400)
        answer(client)
    parley.advance(600)
    assert client.closed(HANGS) == 1001
    assert parley.wait_for("close", HANGS)["cause"] == "idle for 600 s"
    until(lambda: rows(parley).get("DISCONNECT") == 1)


def test_a_connection_with_data_is_closed_after_two_hours(parley):
    client = parley.connect()
    for _ in range(17):
        parley.advance(400)
        answer(client)
    parley.advance(400)
    assert client.closed(HANGS) == 1001
    assert parley.wait_for("close", HANGS)["cause"] == "open for 7200 s"


def test_events_have_the_time_that_has_passed(parley):
    client = parley.connect()
    before = answer(client)["at"]
    parley.advance(500)
    assert 500_000 <= answer(client)["at"] - before < 500_000 + 1000 * HANGS


def test_a_failed_event_is_retried_twice_in_three_minutes(parley):
    send_event(parley, "Failing")
    until(lambda: len(parley.events("end", function="Failing")) == 1)
    parley.advance(60)
    until(lambda: len(parley.events("end", function="Failing")) == 2)
    parley.advance(120)
    assert parley.wait_for("dead_letter", HANGS)["attempts"] == 3
    assert rows(parley) == {"fails": 3}


def test_a_function_that_runs_has_the_machines_time(parley):
    """Neither it nor who waits for it is given up: a test cannot know if a function has ended whose frame it has."""
    client = parley.connect()
    client.send("hang")
    until(lambda: rows(parley).get("hangs"))
    parley.advance(500)
    assert answer(client)["said"] == "hello"
