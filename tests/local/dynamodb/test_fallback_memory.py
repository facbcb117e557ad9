"""The memory of moto as the engine: what is read, replaced or refused leaves nothing behind."""

import json

import pytest
from parley.clock import Clock
from parley.dynamodb.fallback.engine import Moto

from tests.support.kept_objects import kept, tracked_by_moto

CREATE = {
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
}
TABLE, KEY = {"TableName": "Kept"}, {"id": {"S": "x"}}
PUT = {**TABLE, "Item": {**KEY, "text": {"L": [{"S": "a"}, {"S": "b"}]}}}
UPDATE = {
    **TABLE,
    "Key": KEY,
    "UpdateExpression": "SET n = :one",
    "ConditionExpression": "attribute_exists(id)",
    "ExpressionAttributeValues": {":one": {"N": "1"}},
}
QUERY = {**TABLE, "KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": {"S": "x"}}}
REFUSED = {**UPDATE, "Key": {"id": {"S": "not there"}}}
CALLS = (
    ("PutItem", PUT),
    ("UpdateItem", UPDATE),
    ("UpdateItem", REFUSED),
    ("Query", QUERY),
    ("TransactWriteItems", {"TransactItems": [{"Update": UPDATE}]}),
    ("TransactWriteItems", {"TransactItems": [{"Update": UPDATE}, {"Update": REFUSED}]}),
    ("GetItem", {**TABLE, "Key": KEY}),
)


async def ask(engine, operation, parameters):
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"DynamoDB_20120810.{operation}"}
    return (await engine.answer(headers, json.dumps(parameters).encode())).status


@pytest.mark.full
async def test_the_same_calls_again_keep_no_more_objects():
    engine = Moto(Clock(), "a test")
    await ask(engine, "CreateTable", {**TABLE, **CREATE})
    counts = []
    for _ in range(3):
        statuses = [await ask(engine, operation, parameters) for operation, parameters in CALLS]
        assert statuses == [200, 200, 400, 200, 200, 400, 200]
        counts.append(tracked_by_moto() + kept("moto"))
    await ask(engine, "DeleteTable", TABLE)
    await engine.stop()
    # No more of any class. There may be fewer: what earlier tests have let go of.
    assert not counts[2] - counts[0]
