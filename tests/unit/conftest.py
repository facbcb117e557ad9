"""A DynamoDB with the tables of the template: moto's, in this process, or the one at PARLEY_TEST_DYNAMODB."""

import os
from collections.abc import Iterator

# Before anything of boto3 is imported: clients are made at import, and must find a region and no real account.
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_REGION="us-east-1",
    AWS_DEFAULT_REGION="us-east-1",
    POWERTOOLS_SERVICE_NAME="parley",
    JWT_SECRET="a secret of at least thirty-two bytes",
    GENERATE_FUNCTION="GenerateFunction",
    DELIVER_FUNCTION="DeliverFunction",
    USERS_TABLE="UsersTable",
    CONNECTIONS_TABLE="ConnectionsTable",
    CHATS_TABLE="ChatsTable",
    MESSAGES_TABLE="MessagesTable",
    OPENAI_API_KEY="none",
    AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI="https://execute-api.us-east-1.amazonaws.com",
)
os.environ.pop("AWS_ENDPOINT_URL_DYNAMODB", None)
if "PARLEY_TEST_DYNAMODB" in os.environ:
    # moto lets pass what goes to no address of AWS's.
    os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = os.environ["PARLEY_TEST_DYNAMODB"]

import boto3
import pytest
from moto import mock_aws

from handlers.chat.store import Store
from handlers.chat.tables import CONNECTION, UserItem
from local.dynamodb import create_tables
from tests import dynamodb
from tests.capacity import Capacity, metered


@pytest.fixture
def aws() -> Iterator[None]:
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
    return Store()


@pytest.fixture
def capacity(store: Store) -> Iterator[Capacity]:
    """What the store's requests cost, from here on."""
    if not dynamodb.URL:
        pytest.skip("moto's capacity units are wrong; `make test-dynamodb-local` runs this")
    with metered(CONNECTION.client, dynamodb.client(dynamodb.URL)) as capacity:
        yield capacity
