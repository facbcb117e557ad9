"""A DynamoDB with the tables of the template: moto's, in this process, or the one at PARLEY_TEST_DYNAMODB."""

from collections.abc import Iterator
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core.base_backend import BackendDict
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.responses import DynamoHandler
from parley.dynamodb.fallback.tables import install as install_partitioned_tables
from parley.dynamodb.provision import create_tables

from handlers.chat.concurrency import Runtime
from handlers.chat.store import Store
from handlers.chat.store.attachments import Attachments
from handlers.chat.store.dynamodb import CONNECTION
from handlers.chat.store.tables import UserItem
from tests.support import direct_dynamodb, dynamodb
from tests.support.capacity import Capacity, metered, metered_reads
from tests.support.files import create_bucket

# boto3's session is kept from test to test: a new one reads the descriptions of all services again, 60 ms a client.
MOTO = {"lambda": {"use_docker": False}, "core": {"reset_boto3_session": False}}


@pytest.fixture(scope="module")
def moto_started() -> Iterator[None]:
    """moto in the place of AWS. Its start takes longer than most tests, so it is started once for a module."""
    with mock_aws(config=MOTO), nullcontext() if dynamodb.URL else direct_dynamodb.direct():
        yield


@pytest.fixture
def aws(moto_started: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    call_action = DynamoHandler.call_action

    def one_at_a_time(self: DynamoHandler) -> object:
        with direct_dynamodb.LOCK:
            return call_action(self)

    monkeypatch.setattr(DynamoHandler, "call_action", one_at_a_time)
    yield
    BackendDict.reset()


@pytest.fixture(scope="session")
def empty_tables() -> dict[str, Any]:
    """moto's tables as they are made by the template. Copying them takes 0.3 ms, making them 30 ms."""
    install_partitioned_tables()
    with mock_aws(config=MOTO):
        create_tables(boto3.client("dynamodb"), dynamodb.TABLES)
        return deepcopy(_moto_tables())


def _moto_tables() -> dict[str, Any]:
    return dynamodb_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].tables


@pytest.fixture
def tables(aws: None, request: pytest.FixtureRequest) -> None:
    if dynamodb.URL:
        client = boto3.client("dynamodb")
        dynamodb.delete_tables(client)
        create_tables(client, dynamodb.TABLES)
    else:
        _moto_tables().update(deepcopy(request.getfixturevalue("empty_tables")))


@pytest.fixture
def store(tables: None) -> Store:
    for user in ("alice", "bob"):
        UserItem(user, name=user.title()).save()
    return Store(Runtime())


@pytest.fixture
def files(store: Store) -> Attachments:
    """The store's bucket of attachments, empty."""
    store.attachments = create_bucket()
    return store.attachments


@pytest.fixture
def capacity(store: Store) -> Iterator[Capacity]:
    """The units of the store's requests from here on."""
    if not dynamodb.URL:
        pytest.skip("moto's capacity units are wrong; `make test-dynamodb-local` runs this")
    with metered(CONNECTION.client, dynamodb.client(dynamodb.URL)) as capacity:
        yield capacity


@pytest.fixture
def reads(store: Store) -> Iterator[Capacity]:
    """The read units of the store's requests from here on, also on moto: there by DynamoDB's rules."""
    observer = dynamodb.client(dynamodb.URL) if dynamodb.URL else boto3.client("dynamodb")
    with (metered if dynamodb.URL else metered_reads)(CONNECTION.client, observer) as capacity:
        yield capacity
