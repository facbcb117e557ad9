"""Tables and their items, as the console shows them."""

import json

import pytest
from parley.clock import Clock
from parley.dynamodb.engine import JSON_TYPE, Database
from parley.dynamodb.fallback.engine import Moto
from parley.emulator.table_view import NotShown, items, tables
from parley.trace import Trace

from tests.support.trace_schema import conforms


@pytest.fixture
async def database():
    """A database with a table of five items of two users, which end, and one without a sort key."""
    database = Database(Moto(Clock(), "a test"), Trace().record)

    async def call(operation, **content):
        headers = {**JSON_TYPE, "x-amz-target": f"DynamoDB_20120810.{operation}"}
        answer = await database.answer(headers, json.dumps(content).encode())
        assert answer.status == 200, answer.body

    for name, keys in (("Notes", ("user", "at")), ("Empty", ("id",))):
        schema = zip(keys, ("HASH", "RANGE"), strict=False)
        await call(
            "CreateTable",
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in schema],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            BillingMode="PAY_PER_REQUEST",
        )
    ends = {"Enabled": True, "AttributeName": "ends"}
    await call("UpdateTimeToLive", TableName="Notes", TimeToLiveSpecification=ends)
    for number in range(5):
        item = {"user": {"S": "alice" if number < 3 else "bob"}, "at": {"S": str(number)}, "ends": {"N": "1"}}
        await call("PutItem", TableName="Notes", Item=item)
    yield database
    for name in ("Notes", "Empty"):
        await call("DeleteTable", TableName=name)


async def test_tables_have_their_keys(database):
    found = {each["name"]: each for each in await tables(database) if each["name"] in ("Notes", "Empty")}
    table = {"partitionKeyType": "S", "sortKey": None, "ttlAttribute": None, "items": 0}
    assert found == {
        "Empty": {"name": "Empty", "partitionKey": "id", **table},
        "Notes": {
            "name": "Notes",
            "partitionKey": "user",
            **table,
            "sortKey": "at",
            "ttlAttribute": "ends",
            "items": 5,
        },
    }
    for each in found.values():
        conforms(each, "table")


async def test_items_come_in_pages(database):
    pages, asked = [], {"limit": "2"}
    while asked:
        page = await items(database, "Notes", asked)
        pages.append([each["at"]["S"] for each in page["found"]])
        asked = {"limit": "2", "next": page["next"]} if page["next"] else {}
    assert [len(each) for each in pages[:2]] == [2, 2]
    assert sorted(at for page in pages for at in page) == ["0", "1", "2", "3", "4"]


async def test_items_of_one_key(database):
    page = await items(database, "Notes", {"key": "bob"})
    conforms(page, "items")
    assert ([each["at"]["S"] for each in page["found"]], page["ttlAttribute"]) == (["3", "4"], "ends")


@pytest.mark.parametrize(
    ("name", "asked", "status"),
    [
        ("Notes", {"limit": "0"}, 400),
        ("Notes", {"limit": "101"}, 400),
        ("Notes", {"limit": "x"}, 400),
        ("Notes", {"limit": "9" * 5000}, 400),
        ("Notes", {"next": "x"}, 400),
        ("Notes", {"next": "eyJhIjogMX0="}, 400),
        ("None", {}, 404),
    ],
)
async def test_what_cannot_be_is_refused(database, name, asked, status):
    with pytest.raises(NotShown) as refused:
        await items(database, name, asked)
    assert refused.value.status == status
