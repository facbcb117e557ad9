"""Faults at calls that functions make: posts, the store, and the process that makes the call."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.support.faulty_emulator import connection_id, outcome, put
from tests.support.waiting import HANGS, until


class TestPost:
    @pytest.mark.parametrize(
        ("do", "came_to", "delivered"),
        [
            ("410", "GoneException", 0),
            ("429", "LimitExceededException", 0),
            ("500", "InternalServerErrorException", 0),
            ("hang", "cut", 0),
            ("reset", "cut", 0),
            ("lose", "answered", 0),
            ("deliver-410", "GoneException", 1),
            ("deliver-500", "InternalServerErrorException", 1),
            ("deliver-reset", "cut", 1),
            ("delay", "answered", 1),
            ("twice", "answered", 2),
        ],
    )
    def test_the_sender_and_the_receiver_see_the_fault(self, emulator, connect, do, came_to, delivered):
        device = connect()
        opened = connection_id(device)
        emulator.plan({"point": "post", "do": do, "match": [opened, "hello"], "seconds": 0.1})
        post = emulator.management.post_to_connection
        assert outcome(post, ConnectionId=opened, Data="hello") == came_to
        assert outcome(post, ConnectionId=opened, Data="end") == "answered"
        assert [device.socket.recv(HANGS) for _ in range(delivered + 1)] == ["hello"] * delivered + ["end"]
        assert emulator.hits() == [1]

    def test_an_error_after_its_effect(self, emulator, connect):
        device = connect()
        opened = connection_id(device)
        emulator.plan({"point": "post", "do": "429", "after": True, "match": opened})
        code = outcome(emulator.management.post_to_connection, ConnectionId=opened, Data="hello")
        assert (code, device.socket.recv(HANGS)) == ("LimitExceededException", "hello")

    def test_other_connections_and_other_calls_are_spared(self, emulator, connect):
        struck, spared = connection_id(connect()), connection_id(connect())
        emulator.plan({"point": "post", "do": "500", "match": struck, "times": None})
        assert outcome(emulator.management.post_to_connection, ConnectionId=spared, Data="hello") == "answered"
        assert outcome(emulator.management.get_connection, ConnectionId=struck) == "answered"
        assert emulator.hits() == [0]


class TestStore:
    @pytest.mark.parametrize(
        ("do", "came_to", "stored"),
        [
            ("throttle", "ProvisionedThroughputExceededException", 0),
            ("conflict", "TransactionConflictException", 0),
            ("500", "InternalServerError", 0),
            ("lose", "cut", 0),
            ("hang", "cut", 0),
            ("cut", "cut", 1),
            ("delay", "answered", 1),
        ],
    )
    def test_the_result_of_a_write(self, emulator, row, do, came_to, stored):
        emulator.plan({"point": "store", "do": do, "match": ["PutItem", row], "seconds": 0.1})
        assert outcome(emulator.dynamodb.put_item, **put(row)) == came_to
        assert (emulator.runs(row), emulator.hits()) == (stored, [1])

    def test_a_transaction_in_conflict_names_a_reason_for_each_item(self, emulator, row):
        emulator.plan({"point": "store", "do": "conflict", "match": ["TransactWriteItems", row]})
        items = [{"Put": put(f"{row} {number}")} for number in range(2)]
        with pytest.raises(ClientError) as caught:
            emulator.dynamodb.transact_write_items(TransactItems=items)
        assert caught.value.response["Error"]["Code"] == "TransactionCanceledException"
        assert [reason["Code"] for reason in caught.value.response["CancellationReasons"]] == [
            "TransactionConflict"
        ] * 2
        assert emulator.runs(f"{row} 0") == 0

    def test_one_function_alone_can_be_hit(self, emulator, row):
        emulator.plan({"point": "store", "do": "500", "match": ["Caller", "PutItem"], "times": None})
        event = {"service": "dynamodb", "method": "put_item", "arguments": put(row)}
        assert outcome(emulator.dynamodb.put_item, **put(row)) == "answered"
        assert (emulator.invoke("Caller", **event), emulator.invoke("OneSecond", **event)) == (
            "InternalServerError",
            "answered",
        )


class TestCaller:
    """Faults of the process that makes a call, at each point where functions make calls."""

    @pytest.fixture(params=["store", "invoke", "post"])
    def call(self, request, emulator, connect, row):
        """The event of a function that makes the call, the point, and how often the call has had its effect."""
        if request.param == "store":
            service, method, arguments = "dynamodb", "put_item", put(row)
        elif request.param == "invoke":
            payload = json.dumps({"row": row})
            service, method = "lambda", "invoke"
            arguments = {"FunctionName": "Worker", "InvocationType": "Event", "Payload": payload}
        else:
            device = connect()
            opened = connection_id(device)
            service, method, arguments = "apigatewaymanagementapi", "post_to_connection", {"ConnectionId": opened}
            arguments["Data"] = "hello"

        def effects():
            if request.param != "post":
                return emulator.runs(row)
            emulator.management.post_to_connection(ConnectionId=opened, Data="end")
            return sum(1 for _ in iter(lambda: device.socket.recv(HANGS), "end"))

        return {"service": service, "method": method, "arguments": arguments}, request.param, effects

    def test_a_kill_comes_before_the_effect(self, emulator, call):
        event, point, effects = call
        emulator.plan({"point": point, "do": "kill", "match": "Caller"})
        assert emulator.invoke("Caller", **event) == "Runtime.ExitError"
        assert (effects(), emulator.hits()) == (0, [1])

    def test_a_kill_after_comes_after_the_effect(self, emulator, call):
        event, point, effects = call
        emulator.plan({"point": point, "do": "kill-after", "match": "Caller"})
        assert emulator.invoke("Caller", **event) == "Runtime.ExitError"
        if point == "invoke":
            until(lambda: effects() == 1)
        assert (effects(), emulator.hits()) == (1, [1])

    def test_a_frozen_caller_goes_on_with_the_answer(self, emulator, call):
        event, point, _ = call
        emulator.plan({"point": point, "do": "freeze", "seconds": 0.2, "match": "Caller"})
        assert emulator.invoke("Caller", **event) == "answered"
        assert emulator.hits() == [1]

    def test_the_call_of_a_frozen_caller_has_its_effect_meanwhile(self, emulator, call):
        event, point, effects = call
        emulator.plan({"point": point, "do": "freeze", "seconds": 60, "match": "OneSecond"})
        assert emulator.invoke("OneSecond", **event) == "Sandbox.Timedout"
        assert effects() == 1

    def test_callers_that_are_no_function_are_not_affected(self, emulator, row):
        emulator.plan({"point": "store", "do": "kill", "match": row})
        assert outcome(emulator.dynamodb.put_item, **put(row)) == "answered"
        assert emulator.runs(row) == 1


class TestElsewhere:
    """Functions that run inline, on a DynamoDB of another process."""

    @pytest.mark.parametrize(("do", "came_to", "stored"), [("lose", "cut", 0), ("cut", "cut", 1), ("500", None, 0)])
    def test_writes_of_functions_pass_through_the_emulator(self, other, emulator, row, do, came_to, stored):
        other.plan({"point": "store", "do": do, "match": row})
        event = {"service": "dynamodb", "method": "put_item", "arguments": put(row)}
        expected = {"cut": "ConnectionClosedError", None: "InternalServerError"}[came_to]
        assert other.invoke("Caller", **event) == expected
        assert emulator.runs(row) == stored
        assert other.invoke("Caller", **event) == "answered"
        assert emulator.runs(row) == 1

    @pytest.mark.parametrize("fault", [("store", "kill"), ("store", "freeze"), ("run", "kill")])
    def test_functions_without_a_process_are_spared_and_the_log_says_so(self, other, emulator, row, fault):
        point, do = fault
        other.plan({"point": point, "do": do, "match": row})
        event = {"service": "dynamodb", "method": "put_item", "arguments": put(row)}
        assert other.invoke("Caller", **event) == "answered"
        assert (emulator.runs(row), other.hits()) == (1, [1])
        until(lambda: any(f"Fault {do} at {point} is not possible" in line for line in other.output))
