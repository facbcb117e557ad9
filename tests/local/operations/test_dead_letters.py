"""`parley dlq`: what is in the dead-letter queues, and the way back."""

from __future__ import annotations

import json

import pytest
from parley.errors import StartError
from parley.operations import dead_letters
from parley.operations.dead_letters import DeadLetters
from parley.operations.stack import Stack

URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/generate"
GENERATE = DeadLetters("Generate", URL, "worker")
ANONYMOUS = DeadLetters("Anonymous", URL, None)
OUTPUTS = {
    "GenerateFunctionName": "worker",
    "GenerateDeadLetterQueueUrl": URL,
    "AnonymousDeadLetterQueueUrl": f"{URL}2",
    "UsersTableName": "users",
}


def stack(outputs):
    return Stack("parley-dev", "id", "CREATE_COMPLETE", "", outputs, {}, False)


def put(account, *numbers):
    return [account.queues.put(URL, json.dumps({"chat_id": f"c{number}"}), "boom") for number in numbers]


def test_the_outputs_name_the_queues_and_their_functions():
    assert dead_letters.queues(stack(OUTPUTS)) == [
        GENERATE,
        DeadLetters("Anonymous", f"{URL}2", None),
    ]
    assert dead_letters.queues(stack(OUTPUTS), "Generate") == [GENERATE]


def test_an_unknown_queue_is_refused():
    with pytest.raises(StartError, match=r"has no dead-letter queue Mail\. It has Generate, Anonymous\."):
        dead_letters.queues(stack(OUTPUTS), "Mail")


class TestLook:
    def test_events_are_shown_and_stay_visible(self, access, account):
        ids = put(account, *range(12))
        contents = dead_letters.look(access, GENERATE, 12)
        assert contents.count == 12
        assert [each.id for each in contents.letters] == ids
        assert {each.error for each in contents.letters} == {"boom"}
        assert account.queues.hidden(URL) == 0
        assert len(account.queues.bodies(URL)) == 12

    def test_with_a_limit_of_none_nothing_is_received(self, access, account):
        put(account, 1)
        assert dead_letters.look(access, GENERATE, 0) == dead_letters.Contents(1, ())
        assert "sqs:ReceiveMessage" not in account.calls

    @pytest.mark.parametrize(
        ("body", "shown"),
        [
            ('{"user_id": "alice", "chat_id": "c", "attempt": 2, "text": "Hi"}', "user_id=alice chat_id=c"),
            ('{"connectionId": "x="}', "connectionId=x="),
            ("[1]", "(no object)"),
            ("{", "(no JSON)"),
        ],
    )
    def test_only_ids_are_shown(self, body, shown):
        assert dead_letters.ids_in(dead_letters.Letter("m", body, "", "")) == shown


class TestSendBack:
    def send(self, access):
        return [each.problem for each in dead_letters.send_back(access, GENERATE, "worker")]

    def test_each_event_reaches_its_function_once_and_leaves_the_queue(self, access, account):
        put(account, *range(25))
        assert self.send(access) == [""] * 25
        assert account.invocations == [
            ("worker", json.dumps({"chat_id": f"c{number}"}).encode()) for number in range(25)
        ]
        assert account.queues.bodies(URL) == []
        assert self.send(access) == []

    def test_an_event_that_lambda_does_not_accept_stays(self, access, account):
        account.queues.put(URL, "no JSON")
        put(account, 1)
        problems = self.send(access)
        assert problems[0].startswith("it is no event: ")
        assert problems[1:] == [""]
        assert account.queues.bodies(URL) == ["no JSON"]

    def test_it_stops_where_lambda_is_busy(self, access, account):
        put(account, 1, 2, 3)
        account.busy_after = 1
        problems = self.send(access)
        assert problems == ["", "Lambda is busy: Rate Exceeded"]
        assert len(account.queues.bodies(URL)) == 2

    def test_without_the_right_to_invoke_nothing_is_lost(self, access, account):
        put(account, 1)
        account.denied = {"lambda:InvokeFunction"}
        with pytest.raises(StartError, match="these credentials may not do that"):
            self.send(access)
        assert len(account.queues.bodies(URL)) == 1

    def test_without_the_right_to_delete_the_event_stays(self, access, account):
        put(account, 1)
        account.denied = {"sqs:DeleteMessage"}
        with pytest.raises(StartError, match="sqs:DeleteMessage"):
            self.send(access)
        assert len(account.queues.bodies(URL)) == 1


class TestMoveBack:
    def test_sqs_moves_what_another_queue_has_put_there(self, access, account):
        put(account, 1, 2)
        assert dead_letters.move_back(access, ANONYMOUS) == 2
        assert account.queues.moves == ["arn:aws:sqs:eu-central-1:123456789012:generate"]

    def test_a_move_that_runs_is_left_to_run(self, access, account):
        put(account, 1)
        for _ in range(2):
            dead_letters.move_back(access, ANONYMOUS)
        assert len(account.queues.moves) == 1

    def test_an_empty_queue_is_left_alone(self, access, account):
        assert dead_letters.move_back(access, ANONYMOUS) == 0
        assert account.queues.moves == []
