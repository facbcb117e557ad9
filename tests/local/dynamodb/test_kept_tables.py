"""Tables that the last run has left: kept by the engine, and brought up to the template."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest
from parley.asgi import Response
from parley.clock import Clock
from parley.dynamodb.dynoxide.engine import Dynoxide
from parley.dynamodb.dynoxide.process import Data
from parley.dynamodb.engine import JSON_TYPE, Database
from parley.dynamodb.provision import create_tables
from parley.errors import StartError
from parley.template.model import Table
from parley.trace import Trace

from tests.support import engines

REMEDY = "Do this."
BY_OWNER = {
    "IndexName": "by-owner",
    "KeySchema": [{"AttributeName": "owner", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}


def table(key="id", kind="S", index=None, ttl=None):
    attributes = [{"AttributeName": key, "AttributeType": kind}]
    definition = {
        "TableName": "Things",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
        "AttributeDefinitions": attributes,
    }
    if index:
        names = {each["AttributeName"] for each in index["KeySchema"]} - {key}
        attributes += [{"AttributeName": name, "AttributeType": "S"} for name in sorted(names)]
        definition["GlobalSecondaryIndexes"] = [index]
    return Table("Things", definition, ttl)


@pytest.fixture
def client():
    """A client of the engine, with the table and an item of the last run."""
    with engines.served(engines.DYNOXIDE) as url:
        client = engines.client(url)
        create_tables(client, [table()])
        client.put_item(TableName="Things", Item={"id": {"S": "1"}, "owner": {"S": "alice"}})
        yield client


def test_a_new_index_has_the_items_that_are_there(client):
    create_tables(client, [table(index=BY_OWNER)], REMEDY)
    found = client.query(
        TableName="Things",
        IndexName="by-owner",
        KeyConditionExpression="#o = :o",
        ExpressionAttributeNames={"#o": "owner"},
        ExpressionAttributeValues={":o": {"S": "alice"}},
    )
    assert found["Count"] == 1
    create_tables(client, [table(index=BY_OWNER)], REMEDY)


def test_a_new_time_to_live_is_set(client):
    create_tables(client, [table(ttl="expires")], REMEDY)
    described = client.describe_time_to_live(TableName="Things")["TimeToLiveDescription"]
    assert described["AttributeName"] == "expires"
    create_tables(client, [table(ttl="expires")], REMEDY)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (table("name"), "The table Things has the keys id (HASH S), and the template says name (HASH S). Do this."),
        (table(kind="N"), "The table Things has the keys id (HASH S), and the template says id (HASH N). Do this."),
    ],
)
def test_other_keys_are_refused_and_the_items_stay(client, changed, said):
    with pytest.raises(StartError) as refusal:
        create_tables(client, [changed], REMEDY)
    assert str(refusal.value) == said
    assert client.scan(TableName="Things")["Count"] == 1


def test_other_keys_of_an_index_are_refused(client):
    create_tables(client, [table(index=BY_OWNER)], REMEDY)
    other = {**BY_OWNER, "KeySchema": [{"AttributeName": "room", "KeyType": "HASH"}]}
    with pytest.raises(StartError, match="The index by-owner of the table Things has the keys owner"):
        create_tables(client, [table(index=other)], REMEDY)


def test_a_database_elsewhere_is_left_as_it_is(client):
    create_tables(client, [table("name")])
    assert client.describe_table(TableName="Things")["Table"]["KeySchema"][0]["AttributeName"] == "id"


async def ask(database, operation, **content):
    headers = {"x-amz-target": f"DynamoDB_20120810.{operation}", **JSON_TYPE}
    return await database.answer(headers, json.dumps(content).encode())


@pytest.fixture
async def kept(tmp_path):
    """Starts an engine whose data are kept; the one before it has ended."""
    running, trace = [], Trace()

    async def start():
        for each in running:
            await each.stop()
        engine = Dynoxide(engines.binary(), trace.record, Clock().within, lambda: Data(tmp_path, keeps=True))
        running[:] = [Database(engine, trace.record)]
        await running[0].start()
        return running[0], engine

    yield start
    for each in running:
        await each.stop()


async def test_they_are_there_in_the_next_run(kept, tmp_path):
    database, _ = await kept()
    assert (database.keeps, str(tmp_path) in database.description) == (True, True)
    assert (await ask(database, "CreateTable", **table().definition)).status == 200
    assert (await ask(database, "PutItem", TableName="Things", Item={"id": {"S": "1"}})).status == 200
    database, _ = await kept()
    answer = await ask(database, "GetItem", TableName="Things", Key={"id": {"S": "1"}})
    assert json.loads(answer.body)["Item"] == {"id": {"S": "1"}}


@pytest.mark.parametrize(("free", "is_full"), [((1 << 20) - 1, True), (1 << 20, False)])
async def test_a_full_disk_is_told_with_the_next_step(kept, monkeypatch, free, is_full):
    database, engine = await kept()

    async def failing(headers, body):
        return Response(500, JSON_TYPE, b'{"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError"}')

    monkeypatch.setattr(engine._run.client, "post", failing)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    answer = await ask(database, "PutItem", TableName="Things", Item={"id": {"S": "1"}})
    message = json.loads(answer.body)["message"]
    assert answer.status == 400
    assert ("is full; free some space" in message) == is_full
    assert "EngineFailure" in json.loads(answer.body)["__type"]


async def test_a_removed_folder_is_told_with_the_next_step(kept, tmp_path, monkeypatch):
    database, engine = await kept()
    engine._data = Data(tmp_path / "removed", keeps=True)

    async def failing(headers, body):
        return Response(500, JSON_TYPE, b"{}")

    monkeypatch.setattr(engine._run.client, "post", failing)
    answer = await ask(database, "PutItem", TableName="Things", Item={"id": {"S": "1"}})
    assert "removed: No such file or directory. Start the emulator again" in json.loads(answer.body)["message"]
