"""The store's client, which calls moto directly in these tests, gets the same answers as a client that uses HTTP."""

import boto3
import pytest
from botocore.exceptions import ClientError

from handlers.chat.store.dynamodb import CONNECTION
from tests.support import dynamodb

KEY = {"chatId": {"S": "chat"}, "messageId": {"S": "m1"}}
ITEM = {**KEY, "number": {"N": "1.5"}, "bytes": {"B": b"\x00\xff"}, "inner": {"M": {"list": {"L": [{"B": b"\x01"}]}}}}
SET = {
    "UpdateExpression": "SET #new = :new",
    "ExpressionAttributeNames": {"#new": "new"},
    "ExpressionAttributeValues": {":new": {"B": b"\x02"}},
}
UPDATE = {"TableName": "MessagesTable", "Key": KEY, **SET}
QUERY = {
    "KeyConditionExpression": "#chat = :chat",
    "ExpressionAttributeNames": {"#chat": "chatId"},
    "ExpressionAttributeValues": {":chat": {"S": "chat"}},
}


@pytest.fixture
def clients(tables):
    """The store's client and another one, which see the same item."""
    http = boto3.client("dynamodb")
    http.put_item(TableName="MessagesTable", Item=ITEM)
    return CONNECTION.client, http


def without_metadata(answer):
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("get_item", {"TableName": "MessagesTable", "Key": KEY}),
        ("get_item", {"TableName": "MessagesTable", "Key": KEY, "ReturnConsumedCapacity": "TOTAL"}),
        ("put_item", {"TableName": "MessagesTable", "Item": ITEM, "ReturnValues": "ALL_OLD"}),
        ("update_item", {**UPDATE, "ReturnValues": "ALL_NEW"}),
        ("query", {"TableName": "MessagesTable", **QUERY}),
        ("batch_get_item", {"RequestItems": {"MessagesTable": {"Keys": [KEY]}}}),
        ("transact_write_items", {"TransactItems": [{"Update": UPDATE}]}),
    ],
)
def test_an_answer_is_the_same(clients, operation, request_):
    direct, http = (without_metadata(getattr(client, operation)(**request_)) for client in clients)
    assert direct == http


def test_both_read_what_the_other_has_written(clients):
    direct, http = clients
    direct.update_item(**UPDATE)
    found = http.get_item(TableName="MessagesTable", Key=KEY)["Item"]
    assert found == {**ITEM, "new": {"B": b"\x02"}} == direct.get_item(TableName="MessagesTable", Key=KEY)["Item"]


@pytest.mark.parametrize("operation", ["update_item", "transact_write_items"])
def test_a_refusal_is_the_same(clients, operation):
    refused = {**UPDATE, "ConditionExpression": "attribute_not_exists(chatId)"}
    request = refused if operation == "update_item" else {"TransactItems": [{"Update": refused}]}
    errors = []
    for client in clients:
        with pytest.raises(ClientError) as caught:
            getattr(client, operation)(**request)
        errors.append(without_metadata(caught.value.response))
    assert errors[0] == errors[1]


@pytest.mark.skipif(bool(dynamodb.URL), reason="only moto is called directly")
def test_no_request_is_sent(clients):
    direct, _ = clients
    sent = []
    direct.meta.events.register("before-send", note := lambda request, **_: sent.append(request))
    direct.get_item(TableName="MessagesTable", Key=KEY)
    direct.meta.events.unregister("before-send", note)
    assert sent == []
