"""A DynamoDB with the tables of the template: moto's, in this process, or the one at PARLEY_TEST_DYNAMODB."""

from collections.abc import Iterator
from threading import Lock

import boto3
import pytest
from moto import mock_aws
from moto.dynamodb.responses import DynamoHandler
from parley.dynamodb.provision import create_tables

from handlers.chat.concurrency import Runtime
from handlers.chat.store import Store
from handlers.chat.store.tables import CONNECTION, UserItem
from tests.support import dynamodb
from tests.support.capacity import Capacity, metered


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # moto looks and then writes, and lets another thread in between: DynamoDB does not.
    lock, call_action = Lock(), DynamoHandler.call_action

    def one_at_a_time(self: DynamoHandler) -> object:
        with lock:
            return call_action(self)

    monkeypatch.setattr(DynamoHandler, "call_action", one_at_a_time)
    with mock_aws(config={"lambda": {"use_docker": False}}):
        yield


@pytest.fixture
def store(aws: None) -> Store:
    client = boto3.client("dynamodb")
    if dynamodb.URL:
        dynamodb.delete_tables(client)
    create_tables(client, dynamodb.TABLES)
    for user in ("alice", "bob"):
        UserItem(user, name=user.title()).save()
    return Store(Runtime())


@pytest.fixture
def capacity(store: Store) -> Iterator[Capacity]:
    """What the store's requests cost, from here on."""
    if not dynamodb.URL:
        pytest.skip("moto's capacity units are wrong; `make test-dynamodb-local` runs this")
    with metered(CONNECTION.client, dynamodb.client(dynamodb.URL)) as capacity:
        yield capacity
