"""Faults at events of connections, at invocations, and while functions run."""

import pytest

from tests.support.faulty_emulator import connection_id, outcome, put
from tests.support.waiting import until


class TestEvents:
    def test_a_connect_that_is_dropped_opens_the_connection_unseen(self, emulator, connect):
        emulator.plan({"point": "connect", "do": "drop", "match": ["Gate", "refuse"]})
        opened = connection_id(connect("?refuse=1"))
        assert emulator.runs(f"CONNECT {opened}") == 0
        assert emulator.hits() == [1]

    def test_a_message_that_is_dropped_runs_nothing(self, emulator, connect):
        device = connect()
        emulator.plan({"point": "message", "do": "drop", "match": '"body": "first"'})
        device.socket.send("first")
        opened = connection_id(device)
        assert emulator.hits() == [1]
        assert emulator.runs(f"MESSAGE {opened}") == 1

    def test_a_message_twice_is_two_invocations(self, emulator, connect):
        device = connect()
        opened = connection_id(device)
        emulator.plan({"point": "message", "do": "twice", "match": opened})
        device.socket.send("again")
        until(lambda: emulator.runs(f"MESSAGE {opened}") == 3)
        assert len(emulator.row(f"MESSAGE {opened}")["requests"]["SS"]) == 3

    def test_a_message_that_is_delayed_is_overtaken(self, emulator, connect):
        device = connect()
        emulator.plan({"point": "message", "do": "delay", "seconds": 0.5, "match": "slow"})
        device.socket.send("slow")
        opened = connection_id(device)
        assert emulator.hits() == [1]
        assert emulator.runs(f"MESSAGE {opened}") == 1
        until(lambda: emulator.runs(f"MESSAGE {opened}") == 2)

    def test_a_disconnect_that_is_dropped_never_comes(self, emulator, connect):
        lost, seen = connect(), connect()
        lost_id, seen_id = connection_id(lost), connection_id(seen)
        emulator.plan({"point": "disconnect", "do": "drop", "match": lost_id})
        lost.socket.close()
        until(lambda: emulator.hits() == [1])
        seen.socket.close()
        until(lambda: emulator.runs(f"DISCONNECT {seen_id}") == 1)
        assert emulator.runs(f"DISCONNECT {lost_id}") == 0

    def test_a_disconnect_can_come_twice(self, emulator, connect):
        device = connect()
        opened = connection_id(device)
        emulator.plan({"point": "disconnect", "do": "twice", "match": opened})
        device.socket.close()
        until(lambda: emulator.runs(f"DISCONNECT {opened}") == 2)


class TestInvoke:
    def test_an_event_that_is_lost_was_accepted(self, emulator, row):
        emulator.plan({"point": "invoke", "do": "lose", "match": ["Worker", row]})
        assert [emulator.send_event(row), emulator.send_event(row)] == [202, 202]
        until(lambda: emulator.runs(row) == 1)
        assert emulator.hits() == [1]

    def test_an_event_twice_has_one_request_id(self, emulator, row):
        emulator.plan({"point": "invoke", "do": "twice"})
        assert emulator.send_event(row) == 202
        until(lambda: emulator.runs(row) == 2)
        assert len(emulator.row(row)["requests"]["SS"]) == 1

    def test_an_event_that_is_delayed_is_accepted_at_once(self, emulator, row):
        emulator.plan({"point": "invoke", "do": "delay", "seconds": 0.5})
        assert emulator.send_event(row) == 202
        assert emulator.runs(row) == 0
        until(lambda: emulator.runs(row) == 1)

    @pytest.mark.parametrize(("do", "code"), [("429", "TooManyRequestsException"), ("500", "ServiceException")])
    def test_it_is_refused(self, emulator, row, do, code):
        emulator.plan({"point": "invoke", "do": do})
        assert outcome(lambda: emulator.send_event(row)) == code
        assert (emulator.runs(row), emulator.send_event(row)) == (0, 202)

    def test_synchronous_invocations_are_not_affected(self, emulator, row):
        emulator.plan({"point": "invoke", "do": "500", "times": None})
        emulator.invoke("Worker", row=row)
        assert (emulator.runs(row), emulator.hits()) == (1, [0])


class TestRun:
    def test_an_environment_that_is_killed_has_done_nothing(self, emulator, row):
        emulator.plan({"point": "run", "do": "kill", "match": ["Worker", row]})
        assert emulator.invoke("Worker", row=row) == "Runtime.ExitError"
        assert (emulator.runs(row), emulator.hits()) == (0, [1])

    def test_the_next_attempt_of_an_event_is_another_opportunity(self, emulator, row):
        emulator.plan({"point": "run", "do": "kill", "match": row, "times": 2})
        emulator.send_event(row)
        until(lambda: emulator.runs(row) == 1)
        assert emulator.hits() == [2]

    def test_a_frozen_environment_goes_on(self, emulator, row):
        emulator.plan({"point": "run", "do": "freeze", "seconds": 0.2, "match": row})
        assert emulator.invoke("Worker", row=row) is None
        assert (emulator.runs(row), emulator.hits()) == (1, [1])

    def test_an_environment_frozen_too_long_times_out(self, emulator, row):
        emulator.plan({"point": "run", "do": "freeze", "seconds": 60, "match": row})
        event = {"service": "dynamodb", "method": "put_item", "arguments": put(row)}
        assert emulator.invoke("OneSecond", **event) == "Sandbox.Timedout"
        assert emulator.runs(row) == 0
