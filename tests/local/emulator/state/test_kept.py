"""Events that were accepted, and connections that were open, when the last run ended."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest
from parley.emulator.state.folder import DataFolder
from parley.emulator.state.journal import Journal, NotKept
from parley.emulator.state.kept import State
from parley.errors import StartError
from parley.functions.asynchronous import Delivery, NotAccepted
from parley.functions.invocation import Outcome
from parley.functions.service import Functions
from parley.gateway.events import Handshake
from parley.template.model import Function
from parley.trace import Trace

from tests.support.clock import ManualClock, settle
from tests.support.kept_runs import HeldRunner

FAILED = Outcome(b'{"errorMessage": "no"}', "Unhandled", False, 1.0, "")
DONE = Outcome(b"null", None, False, 1.0, "")
HANDSHAKE = Handshake(
    *("abcdefghijklmno=", 1.5, "api", "live", "host", "127.0.0.1", [("User-Agent", "test"), ("X", "y")], "a=b"),
    authorizer={"user": "alice"},
)


@pytest.fixture
def run(tmp_path):
    """Starts a run on one folder: the Lambda service and its runner. The run before it ends as by SIGKILL."""
    states = []

    def start(names=("f",)):
        for each in states:
            each.close()
        states[:] = [State.on(DataFolder.open(tmp_path / ".parley"))]
        runner, trace, clock = HeldRunner(), Trace(), ManualClock()
        functions = {name: function(name, tmp_path) for name in names}
        service = Functions(functions, trace, runner, clock=clock, event_log=states[0].events)
        return SimpleNamespace(state=states[0], service=service, runner=runner, trace=trace, clock=clock)

    yield start
    for each in states:
        each.close()


def function(name, folder):
    return Function(name, "app.handler", folder, 3.0, 128, {})


def resumed(run, gateways=(), keeps_tables=True):
    run.state.resume(run.service, gateways, keeps_tables, run.trace)
    return [each.fields["text"] for each in run.trace.after(0) if each.kind == "note"]


async def test_an_event_that_was_accepted_is_run_in_the_next_run(run):
    request_id = run().service.invoke_later("f", b'{"n": 1}')
    second = run()
    assert len(resumed(second)) == 1
    await settle()
    [invocation] = second.runner.invocations
    assert (invocation.payload, invocation.request_id, invocation.caller) == (b'{"n": 1}', request_id, "event")


async def test_one_that_has_succeeded_is_not(run):
    first = run()
    first.service.invoke_later("f", b"{}")
    await settle()
    first.runner.end(DONE)
    await settle()
    second = run()
    assert resumed(second) == []
    await settle()
    assert second.runner.invocations == []


async def test_one_that_a_fault_has_lost_stays_lost(run):
    run().service.invoke_later("f", b"{}", Delivery(copies=0))
    second = run()
    assert resumed(second) == []
    await settle()
    assert second.runner.invocations == []


async def test_its_attempts_count_on(run):
    first = run()
    first.service.invoke_later("f", b"{}")
    for _ in range(2):
        await settle()
        first.runner.end(FAILED)
        await settle()
        await first.clock.advance(60 if len(first.runner.invocations) == 1 else 0)
    second = run()
    resumed(second)
    await settle()
    second.runner.end(FAILED)
    await settle()
    [given_up] = [each.fields for each in second.trace.after(0) if each.kind == "dead_letter"]
    assert given_up["attempts"] == 3
    assert resumed(run()) == []


async def test_one_whose_function_is_gone_waits_for_it(run):
    run().service.invoke_later("f", b"{}")
    assert "Events for f are kept" in resumed(run(names=("g",)))[0]
    third = run()
    resumed(third)
    await settle()
    assert len(third.runner.invocations) == 1


async def test_one_that_cannot_be_kept_is_not_accepted(run, monkeypatch):
    first = run()

    def full(journal, *statements):
        raise NotKept("services.db cannot be written (database or disk is full)")

    monkeypatch.setattr(Journal, "write", full)
    with pytest.raises(NotAccepted, match="disk is full"):
        first.service.invoke_later("f", b"{}")
    status, _, body = await first.service.http_invoke("f", {"X-Amz-Invocation-Type": "Event"}, b"{}")
    assert (status, b"disk is full" in body) == (507, True)
    await settle()
    assert first.runner.invocations == []


def stage(left, name="live"):
    return SimpleNamespace(serves=lambda handshake: handshake.stage == name, leave=left.append)


async def test_a_connection_that_was_open_gets_its_disconnect(run):
    first = run()
    first.state.connections.opened(HANDSHAKE)
    first.state.connections.opened(Handshake("other", 2.0, "api", "live", "host", "127.0.0.1", [], ""))
    first.state.connections.ended("other")
    left = []
    second = run()
    assert (
        "$disconnect is called for the connections that were open when the last run ended: 1"
        in resumed(second, [stage(left)])[0]
    )
    assert left == [HANDSHAKE]
    second.state.connections.ended(HANDSHAKE.connection_id)
    assert resumed(run(), [stage(left)]) == []


async def test_the_end_of_the_emulator_is_no_end_of_a_connection(run):
    first = run()
    first.state.connections.opened(HANDSHAKE)
    first.state.stop()
    first.state.connections.ended(HANDSHAKE.connection_id)
    left = []
    resumed(run(), [stage(left)])
    assert left == [HANDSHAKE]


async def test_one_of_a_stage_that_is_gone_is_forgotten(run):
    run().state.connections.opened(HANDSHAKE)
    left = []
    resumed(run(), [stage(left, "other")])
    resumed(run(), [stage(left)])
    assert left == []


async def test_without_the_tables_they_are_forgotten_and_that_is_said_in_one_line(run):
    first = run()
    first.state.connections.opened(HANDSHAKE)
    first.service.invoke_later("f", b"{}")
    left = []
    second = run()
    [said] = resumed(second, [stage(left)], keeps_tables=False)
    assert "moto has its tables in memory" in said
    assert "parley install-dynamodb" in said
    await settle()
    assert (left, second.runner.invocations) == ([], [])
    assert resumed(run(), [stage(left)]) == []


async def test_nothing_is_kept_without_a_folder(run):
    state = State.on(None)
    assert (state.services, state.events, state.connections) == (None, None, None)
    state.stop()
    state.close()


async def test_a_journal_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    folder = DataFolder.open(tmp_path / ".parley")
    (folder.current / "services.db").mkdir()
    with pytest.raises(StartError, match=r"services.db cannot be written .*--data") as error:
        State.on(folder)
    assert "\n" not in str(error.value)
    folder.close()


async def test_a_line_is_in_the_file_before_the_answer(tmp_path):
    journal = Journal(tmp_path / "services.db")
    journal.write(("INSERT INTO connections VALUES (?, ?)", ("id", "{}")))
    # Another process would see the same, also after the end of this one.
    with closing(sqlite3.connect(tmp_path / "services.db")) as other:
        assert other.execute("SELECT id FROM connections").fetchall() == [("id",)]
    journal.close()
    await asyncio.sleep(0)
