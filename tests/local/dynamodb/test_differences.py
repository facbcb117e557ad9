"""The engines compared on generated requests: every difference is a known one, and every known one is still there.

Dynoxide is compared with moto, the fallback, and where `make test-dynamodb-local` gives one with AWS's DynamoDB Local.
"""

from pathlib import Path

import pytest

from tests.support import dynamodb, engines
from tests.support.compared_tables import TABLES
from tests.support.comparison import Answer, Difference, answers, differences
from tests.support.generated_requests import generated
from tests.support.known_differences import DYNOXIDE_UNLIKE_AWS, LOCAL_UNLIKE_AWS, MOTO_UNLIKE_DYNOXIDE

SEEDS = (1, 2, 3)
DOCS = Path(__file__).parents[3] / "docs" / "emulator" / "databases.md"


@pytest.fixture(scope="module")
def dynoxide() -> dict[int, list[Answer]]:
    return answered_by(engines.DYNOXIDE)


def answered_by(name: str) -> dict[int, list[Answer]]:
    """Return an engine's answers for each seed."""
    found = {}
    for seed in SEEDS:
        with engines.served(name) as endpoint:
            emptied(endpoint)
            found[seed] = answers(endpoint, generated(seed))
            emptied(endpoint)
    return found


def emptied(endpoint: str) -> None:
    """Delete the tables of earlier requests: moto's outlive an engine, and DynamoDB Local's a test."""
    client = engines.client(endpoint)
    names = {table["TableName"] for table in TABLES} & set(client.list_tables()["TableNames"])
    for name in names:
        client.delete_table(TableName=name)
        client.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 1})


def compared(ones: dict[int, list[Answer]], others: dict[int, list[Answer]]) -> dict[str, Difference]:
    found: dict[str, Difference] = {}
    for seed in SEEDS:
        found = differences(generated(seed), ones[seed], others[seed]) | found
    return found


def test_the_same_seed_gives_the_same_requests():
    assert generated(1) == generated(1) != generated(2)


@pytest.mark.full
def test_moto_differs_where_it_is_known_to(dynoxide):
    known = {kind: difference for difference, kinds in MOTO_UNLIKE_DYNOXIDE.items() for kind in kinds}
    assert compared(dynoxide, answered_by(engines.MOTO)) == known


@pytest.mark.skipif(dynamodb.URL is None, reason="no DynamoDB to compare with: `make test-dynamodb-local` gives one")
def test_dynamodb_local_differs_where_it_is_known_to(dynoxide):
    local = {}
    for seed in SEEDS:
        emptied(dynamodb.URL)
        local[seed] = answers(dynamodb.URL, generated(seed))
    emptied(dynamodb.URL)
    assert compared(dynoxide, local).keys() == DYNOXIDE_UNLIKE_AWS.keys() | LOCAL_UNLIKE_AWS.keys()


def test_the_documentation_lists_what_dynoxide_answers_unlike_aws():
    text = DOCS.read_text()
    rows = [f"| {kind} | {unlike.dynoxide} | {unlike.aws} |" for kind, unlike in DYNOXIDE_UNLIKE_AWS.items()]
    assert [row for row in rows if row not in text] == []
