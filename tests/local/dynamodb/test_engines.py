"""The embedded DynamoDB behind a real server, as functions reach it: each of its engines."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from parley.dynamodb.provision import provision
from parley.errors import StartError
from parley.template.model import Table
from parley.template.reader import read
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.connection import Connection
from pynamodb.exceptions import TransactWriteError
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from tests.support import engines

TEMPLATE = read(Path(__file__).parents[3] / "infra" / "template.yaml")


@pytest.fixture(scope="module", params=engines.ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def endpoint(engine: str) -> Iterator[str]:
    with engines.served(engine) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def client(endpoint: str) -> Any:
    provision(endpoint, TEMPLATE, ["alice", "bob"], {})
    return engines.client(endpoint)


def text(**attributes: str) -> dict[str, dict[str, str]]:
    return {name: {"S": value} for name, value in attributes.items()}


def message(chat_id: str, number: int) -> dict[str, dict[str, str]]:
    return text(chatId=chat_id, messageId=f"{number:06}", content="x" * 500)


def add_messages(client: Any, chat_id: str, count: int) -> None:
    requests = [{"PutRequest": {"Item": message(chat_id, number)}} for number in range(count)]
    for start in range(0, count, 25):
        client.batch_write_item(RequestItems={"MessagesTable": requests[start : start + 25]})


class TestTables:
    def test_they_are_as_the_template_says(self, client):
        described = {
            name: client.describe_table(TableName=name)["Table"] for name in client.list_tables()["TableNames"]
        }
        ttl = client.describe_time_to_live(TableName="ConnectionsTable")["TimeToLiveDescription"]

        assert described.keys() == {"UsersTable", "ConnectionsTable", "ChatsTable", "MessagesTable"}
        assert {table["TableStatus"] for table in described.values()} == {"ACTIVE"}
        assert [index["IndexName"] for index in described["ChatsTable"]["GlobalSecondaryIndexes"]] == ["byUpdatedAt"]
        assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expiresAt"}

    def test_making_them_again_keeps_what_is_in_them(self, client, endpoint):
        client.put_item(TableName="UsersTable", Item=text(userId="alice", name="Alice"))

        provision(endpoint, TEMPLATE, ["alice", "carol"], {})

        users = client.scan(TableName="UsersTable")["Items"]
        assert text(userId="alice", name="Alice") in users
        assert text(userId="carol", name="carol") in users

    def test_they_are_the_same_for_every_region_and_key(self, client, endpoint):
        elsewhere = engines.client(endpoint, region_name="eu-west-1", aws_access_key_id="other")

        assert "UsersTable" in elsewhere.list_tables()["TableNames"]


class TestConditions:
    def test_an_update_does_not_bring_back_what_is_not_there(self, client):
        with pytest.raises(client.exceptions.ConditionalCheckFailedException):
            client.update_item(
                TableName="ChatsTable",
                Key=text(userId="nobody", chatId="none"),
                UpdateExpression="ADD messageCount :one",
                ConditionExpression="attribute_exists(chatId)",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

        assert "Item" not in client.get_item(TableName="ChatsTable", Key=text(userId="nobody", chatId="none"))

    def test_a_cancelled_transaction_says_why_and_leaves_everything_as_it_was(self, client):
        chat = text(userId="alice", chatId="cancelled") | {"messageCount": {"N": "7"}}
        client.put_item(TableName="ChatsTable", Item=chat)
        client.put_item(TableName="MessagesTable", Item=message("cancelled", 2))

        with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
            client.transact_write_items(
                TransactItems=[
                    {
                        "Update": {
                            "TableName": "ChatsTable",
                            "Key": text(userId="alice", chatId="cancelled"),
                            "UpdateExpression": "ADD messageCount :one",
                            "ExpressionAttributeValues": {":one": {"N": "1"}},
                        }
                    },
                    {"Put": {"TableName": "MessagesTable", "Item": message("cancelled", 1)}},
                    {"Delete": {"TableName": "MessagesTable", "Key": text(chatId="cancelled", messageId="000002")}},
                    {"Put": {"TableName": "UsersTable", "Item": text(userId="alice", name="Changed")}},
                    {"Put": {"TableName": "MessagesTable", "Item": message("new chat", 1)}},
                    {
                        "ConditionCheck": {
                            "TableName": "ConnectionsTable",
                            "Key": text(connectionId="none"),
                            "ConditionExpression": "attribute_exists(connectionId)",
                        }
                    },
                ]
            )

        reasons = cancelled.value.response["CancellationReasons"]
        assert [reason["Code"] for reason in reasons] == ["None"] * 5 + ["ConditionalCheckFailed"]
        kept = client.get_item(TableName="ChatsTable", Key=text(userId="alice", chatId="cancelled"))["Item"]
        assert kept == chat
        assert messages_of(client, "cancelled") == ["000002"]
        assert messages_of(client, "new chat") == []
        user = client.get_item(TableName="UsersTable", Key=text(userId="alice"))["Item"]
        assert user["name"] != {"S": "Changed"}

    def test_a_transaction_that_is_not_cancelled_changes_everything(self, client):
        client.put_item(TableName="ChatsTable", Item=text(userId="alice", chatId="both"))

        client.transact_write_items(
            TransactItems=[
                {
                    "Update": {
                        "TableName": "ChatsTable",
                        "Key": text(userId="alice", chatId="both"),
                        "UpdateExpression": "ADD messageCount :one",
                        "ExpressionAttributeValues": {":one": {"N": "1"}},
                    }
                },
                {"Put": {"TableName": "MessagesTable", "Item": message("both", 1)}},
            ]
        )

        chat = client.get_item(TableName="ChatsTable", Key=text(userId="alice", chatId="both"))["Item"]
        assert chat["messageCount"] == {"N": "1"}
        assert messages_of(client, "both") == ["000001"]

    def test_concurrent_updates_are_all_counted(self, client):
        def count(_: int) -> None:
            client.update_item(
                TableName="ChatsTable",
                Key=text(userId="alice", chatId="counted"),
                UpdateExpression="ADD messageCount :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

        with ThreadPoolExecutor(8) as executor:
            list(executor.map(count, range(100)))

        chat = client.get_item(TableName="ChatsTable", Key=text(userId="alice", chatId="counted"))["Item"]
        assert chat["messageCount"] == {"N": "100"}


def messages_of(client: Any, chat_id: str, **more: Any) -> list[str]:
    page = client.query(
        TableName="MessagesTable",
        KeyConditionExpression="chatId = :chat",
        ExpressionAttributeValues={":chat": {"S": chat_id}},
        **more,
    )
    return [item["messageId"]["S"] for item in page["Items"]]


class TestQueries:
    def test_a_chat_is_read_from_its_newest_message_page_by_page(self, client):
        add_messages(client, "paged", 45)
        add_messages(client, "other", 3)

        pages = client.get_paginator("query").paginate(
            TableName="MessagesTable",
            KeyConditionExpression="chatId = :chat AND messageId < :before",
            ExpressionAttributeValues={":chat": {"S": "paged"}, ":before": {"S": "000044"}},
            ScanIndexForward=False,
            Limit=20,
        )

        newest_first = [[item["messageId"]["S"] for item in page["Items"]] for page in pages]
        assert [len(page) for page in newest_first if page] == [20, 20, 4]
        assert list(chain.from_iterable(newest_first)) == [f"{number:06}" for number in reversed(range(44))]

    def test_an_index_knows_the_connections_of_a_user(self, client):
        for number in range(6):
            owner = "dora" if number % 2 else "erin"
            client.put_item(TableName="ConnectionsTable", Item=text(connectionId=f"c{number}", userId=owner))
        client.put_item(TableName="ConnectionsTable", Item=text(connectionId="anonymous"))

        found = client.query(
            TableName="ConnectionsTable",
            IndexName="byUser",
            KeyConditionExpression="userId = :user",
            ExpressionAttributeValues={":user": {"S": "dora"}},
        )

        assert {item["connectionId"]["S"] for item in found["Items"]} == {"c1", "c3", "c5"}

    def test_an_index_sorts_chats_and_holds_their_keys_and_titles_only(self, client):
        for chat_id, updated_at in (("first", "2026-01-02"), ("second", "2026-01-03"), ("third", "2026-01-01")):
            chat = text(userId="frank", chatId=chat_id, updatedAt=updated_at, title=chat_id.title(), turn="hidden")
            client.put_item(TableName="ChatsTable", Item=chat)

        found = client.query(
            TableName="ChatsTable",
            IndexName="byUpdatedAt",
            KeyConditionExpression="userId = :user",
            ExpressionAttributeValues={":user": {"S": "frank"}},
            ScanIndexForward=False,
        )

        assert [item["title"]["S"] for item in found["Items"]] == ["Second", "First", "Third"]
        assert found["Items"][0].keys() == {"userId", "chatId", "updatedAt", "title"}

    def test_the_segments_of_a_scan_are_the_table(self, client):
        for number in range(20):
            client.put_item(TableName="ConnectionsTable", Item=text(connectionId=f"s{number}"))
        segments = [
            client.scan(TableName="ConnectionsTable", Segment=segment, TotalSegments=4)["Items"] for segment in range(4)
        ]

        found = sorted(item["connectionId"]["S"] for segment in segments for item in segment)
        whole = sorted(item["connectionId"]["S"] for item in client.scan(TableName="ConnectionsTable")["Items"])
        assert found == whole
        assert len(whole) >= 20

    def test_a_segment_goes_on_after_a_key_that_is_gone(self, client):
        for number in range(30):
            client.put_item(TableName="UsersTable", Item=text(userId=f"scanned{number}"))
        found = []
        for segment in range(3):
            scan = {"TableName": "UsersTable", "Segment": segment, "TotalSegments": 3, "Limit": 4}
            page = client.scan(**scan)
            found += page["Items"]
            while start := page.get("LastEvaluatedKey"):
                if start["userId"]["S"].startswith("scanned"):
                    client.delete_item(TableName="UsersTable", Key=start)
                page = client.scan(**scan, ExclusiveStartKey=start)
                found += page["Items"]
        ids = [item["userId"]["S"] for item in found if item["userId"]["S"].startswith("scanned")]
        assert sorted(ids) == sorted(f"scanned{number}" for number in range(30))

    def test_a_call_says_what_it_cost(self, client):
        put = client.put_item(TableName="MessagesTable", Item=message("cost", 1), ReturnConsumedCapacity="TOTAL")

        assert put["ConsumedCapacity"] == {"TableName": "MessagesTable", "CapacityUnits": 1.0}


@pytest.mark.parametrize("engine", [engines.MOTO], indirect=True)
def test_a_call_costs_the_same_with_thousands_of_messages_stored(client):
    """moto by itself takes 20 times as long, for it goes through the whole table each time."""
    transaction = [{"Put": {"TableName": "MessagesTable", "Item": message("small", 1)}}]

    def cost() -> float:
        costs = []
        for _ in range(10):
            started = time.process_time()
            messages_of(client, "small")
            client.transact_write_items(TransactItems=transaction)
            costs.append(time.process_time() - started)
        return min(costs)

    few = cost()
    for chat in range(60):
        add_messages(client, f"large {chat}", 50)
    assert cost() < 4 * few


class TestConsumedCapacity:
    """By DynamoDB's rules: 1 KB a write unit, 4 KB a read unit, twice in a transaction, indexes besides."""

    CHAT = text(userId="alice", chatId="chat", updatedAt="2026-01-01", title="Talk")

    def units(self, answer):
        consumed = answer["ConsumedCapacity"]
        tables = consumed if isinstance(consumed, list) else [consumed]
        return {table["TableName"]: table["CapacityUnits"] for table in tables}

    @pytest.mark.parametrize(
        ("size", "consistent", "expected"), [(100, True, 1), (100, False, 0.5), (9_000, True, 3), (9_000, False, 1.5)]
    )
    def test_a_read_counts_its_size(self, client, size, consistent, expected):
        key = text(chatId="read", messageId=str(size))
        client.put_item(TableName="MessagesTable", Item={**key, **text(content="x" * size)})
        total = {"ReturnConsumedCapacity": "TOTAL", "ConsistentRead": consistent}
        assert self.units(client.get_item(TableName="MessagesTable", Key=key, **total)) == {"MessagesTable": expected}
        queried = client.query(
            TableName="MessagesTable",
            KeyConditionExpression="chatId = :chat AND messageId = :message",
            ExpressionAttributeValues={":chat": {"S": "read"}, ":message": {"S": str(size)}},
            **total,
        )
        assert self.units(queried) == {"MessagesTable": expected}

    def test_a_write_counts_the_larger_of_what_was_and_what_is(self, client):
        item = text(chatId="write", messageId="1", content="x" * 2_500)
        total = {"TableName": "MessagesTable", "ReturnConsumedCapacity": "TOTAL"}
        assert self.units(client.put_item(Item=item, **total)) == {"MessagesTable": 3}
        key = text(chatId="write", messageId="1")
        shorter = client.update_item(Key=key, UpdateExpression="REMOVE content", **total)
        assert self.units(shorter) == {"MessagesTable": 3}
        assert self.units(client.delete_item(Key=key, **total)) == {"MessagesTable": 1}

    def test_an_index_counts_where_it_changes(self, client):
        put = client.put_item(TableName="ChatsTable", Item=self.CHAT, ReturnConsumedCapacity="INDEXES")
        assert put["ConsumedCapacity"]["GlobalSecondaryIndexes"] == {"byUpdatedAt": {"CapacityUnits": 1}}
        assert self.units(put) == {"ChatsTable": 2}
        touched = client.update_item(
            TableName="ChatsTable",
            Key=text(userId="alice", chatId="chat"),
            UpdateExpression="SET messageCount = :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
            ReturnConsumedCapacity="INDEXES",
        )
        assert self.units(touched) == {"ChatsTable": 1}

    def test_a_transaction_costs_twice(self, client):
        puts = [{"Put": {"TableName": "MessagesTable", "Item": message("both", number)}} for number in range(2)]
        answer = client.transact_write_items(TransactItems=puts, ReturnConsumedCapacity="TOTAL")
        assert self.units(answer) == {"MessagesTable": 4}

    def test_without_the_request_parameter_no_units_are_returned(self, client):
        assert "ConsumedCapacity" not in client.put_item(TableName="ChatsTable", Item=self.CHAT)


def test_pynamodb_understands_it_too(client, endpoint, monkeypatch):
    class Counter(Model):
        class Meta:
            table_name = "UsersTable"
            region = "us-east-1"
            aws_access_key_id = aws_secret_access_key = "emulator"

        user_id = UnicodeAttribute(hash_key=True, attr_name="userId")
        count = NumberAttribute(null=True)

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "emulator")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "emulator")
    monkeypatch.setattr(Counter.Meta, "host", endpoint, raising=False)
    Counter("grace", count=1).save()
    Counter("grace").update([Counter.count.add(2)], Counter.user_id.exists())

    assert Counter.get("grace", consistent_read=True).count == 3

    def claim_a_name_that_is_taken() -> None:
        with TransactWrite(connection=Connection(region="us-east-1", host=endpoint)) as transaction:
            transaction.save(Counter("heidi", count=1))
            transaction.save(Counter("grace", count=9), Counter.user_id.does_not_exist())

    with pytest.raises(TransactWriteError) as cancelled:
        claim_a_name_that_is_taken()
    first, second = cancelled.value.cancellation_reasons
    assert first is None
    assert second.code == "ConditionalCheckFailed"
    assert Counter.get("grace", consistent_read=True).count == 3


def test_a_table_that_is_not_there_is_an_error_of_dynamodbs(client):
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_item(TableName="NoTable", Key=text(userId="alice"))


def test_tables_that_dynamodb_does_not_take(endpoint):
    key = {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "AttributeDefinitions": []}
    odd = Table("Odd", {"TableName": "Odd", **key, "BillingMode": "PAY_PER_REQUEST"}, None)

    with pytest.raises(StartError, match=f"The DynamoDB at {endpoint} refused .* ValidationException"):
        provision(endpoint, replace(TEMPLATE, tables=(odd,)), [], {})


class TestTransactionTokens:
    """A transaction that is repeated with its token has no second effect (API reference, TransactWriteItems)."""

    KEY = text(chatId="tokens", messageId="count")

    def add_one(self, **more: Any) -> dict[str, Any]:
        expression = {"UpdateExpression": "ADD n :n", "ExpressionAttributeValues": {":n": {"N": more.pop("n", "1")}}}
        items = [{"Update": {"TableName": "MessagesTable", "Key": self.KEY, **expression}}]
        return {"TransactItems": items, **more}

    def count(self, client):
        return client.get_item(TableName="MessagesTable", Key=self.KEY)["Item"]["n"]["N"]

    def test_the_second_is_answered_like_the_first_and_changes_nothing(self, client):
        client.transact_write_items(**self.add_one(ClientRequestToken="first"))
        before = self.count(client)
        answer = client.transact_write_items(**self.add_one(ClientRequestToken="first", ReturnConsumedCapacity="TOTAL"))
        assert self.count(client) == before
        [consumed] = answer["ConsumedCapacity"]
        assert (consumed["TableName"], consumed["CapacityUnits"]) == ("MessagesTable", 2)

    def test_another_token_is_another_transaction(self, client):
        client.transact_write_items(**self.add_one(ClientRequestToken="one"))
        before = int(self.count(client))
        client.transact_write_items(**self.add_one(ClientRequestToken="other"))
        assert int(self.count(client)) == before + 1

    def test_other_parameters_with_the_same_token_are_refused(self, client):
        client.transact_write_items(**self.add_one(ClientRequestToken="same"))
        before = self.count(client)
        with pytest.raises(client.exceptions.IdempotentParameterMismatchException):
            client.transact_write_items(**self.add_one(ClientRequestToken="same", n="2"))
        assert self.count(client) == before

    def test_a_transaction_that_was_cancelled_may_be_tried_again(self, client):
        item = {"TableName": "MessagesTable", "Item": text(chatId="again", messageId="1")}
        request = [{"Put": {**item, "ConditionExpression": "attribute_not_exists(chatId)"}}]
        client.put_item(**item)
        with pytest.raises(client.exceptions.TransactionCanceledException):
            client.transact_write_items(TransactItems=request, ClientRequestToken="cancelled")
        client.delete_item(TableName="MessagesTable", Key=item["Item"])
        client.transact_write_items(TransactItems=request, ClientRequestToken="cancelled")
        assert "Item" in client.get_item(TableName="MessagesTable", Key=item["Item"])


def test_an_operation_that_there_is_not_is_the_callers_error(endpoint):
    headers = {"x-amz-target": "DynamoDB_20120810.InventTable", "content-type": "application/x-amz-json-1.0"}
    with pytest.raises(HTTPError) as refused:
        urlopen(Request(endpoint, b"{}", headers))
    assert refused.value.code == 400
    assert json.load(refused.value)["__type"].endswith("#UnknownOperationException")


@pytest.mark.parametrize("body", [b"[" * 100_000, b"{", b"\xff", b"7"], ids=["deep", "open", "no text", "number"])
def test_a_body_that_cannot_be_read_is_refused(endpoint, body):
    headers = {"x-amz-target": "DynamoDB_20120810.PutItem", "content-type": "application/x-amz-json-1.0"}
    with pytest.raises(HTTPError) as refused:
        urlopen(Request(endpoint, body, headers))
    assert refused.value.code == 400


def test_arns_are_of_the_emulators_account_and_region(client):
    arn = client.describe_table(TableName="UsersTable")["Table"]["TableArn"]
    assert arn.startswith("arn:aws:dynamodb:us-east-1:")
    assert client.list_tags_of_resource(ResourceArn=arn)["Tags"] == []
    client.put_item(TableName=arn, Item=text(userId="by its arn"))
    assert client.get_item(TableName=arn, Key=text(userId="by its arn"))["Item"] == text(userId="by its arn")
