"""Stored steps of turns, on moto's DynamoDB."""

from datetime import timedelta

import boto3
import pytest

from handlers.chat.records import Chat
from handlers.chat.turns import steps
from tests.support.approvals_contract import ApprovalsContract
from tests.support.conversation import ask, claim
from tests.support.steps_contract import DONE, FIRST, NOON, StepsContract, a_step


@pytest.fixture
def chat(store):
    return store.chats.add(Chat("alice", "chat"), NOON)


class TestSteps(StepsContract):
    pass


class TestApprovals(ApprovalsContract):
    pass


def test_each_item_has_a_time_to_live_in_a_partition_beside_the_messages(store, chat):
    turn = claim(store, ask(store, "m1", "m2"))
    steps.store_step(store, chat, turn, a_step(calls=(FIRST,)), NOON)
    client = boto3.client("dynamodb")
    items = client.query(
        TableName="MessagesTable",
        KeyConditionExpression="chatId = :partition",
        ExpressionAttributeValues={":partition": {"S": "chat#steps"}},
    )["Items"]
    assert [item["messageId"]["S"] for item in items] == ["m2/01", "m2/01/00"]
    assert {item["expiresAt"]["N"] for item in items} == {str(int((NOON + timedelta(days=30)).timestamp()))}


def test_a_plain_turn_has_no_attribute_of_steps(store, chat):
    claim(store, ask(store, "m1", "m2"))
    key = {"userId": {"S": "alice"}, "chatId": {"S": "chat"}}
    turn = boto3.client("dynamodb").get_item(TableName="ChatsTable", Key=key)["Item"]["turn"]["M"]
    assert not turn.keys() & {"steps", "since", "awaits", "waiting"}


def test_nothing_comes_back_to_a_deleted_chat(store, chat):
    turn = claim(store, ask(store, "m1", "m2"))
    then = steps.store_step(store, chat, turn, a_step(), NOON)
    store.chats.delete("alice", "chat", NOON)
    assert sum(store.steps.delete_until("chat", "m2")) == 3
    assert steps.store_result(store, chat, then, 1, 0, DONE) is None
    assert steps.store_step(store, chat, then, a_step(2), NOON) is None
    assert store.steps.of_turn("chat", "m2") == ()
