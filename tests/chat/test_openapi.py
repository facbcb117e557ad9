"""Random requests to a running emulator's HTTP API: the answers match the OpenAPI document, and none is a 5xx."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from parley.dev_tokens import token

from tests.support import dynamodb
from tests.support.devices import PARLEY, SECRET, Emulator
from tests.support.waiting import HANGS

SCHEMATHESIS = PARLEY.with_name("schemathesis")
# A cursor or a pair of ids can have the right form and be wrong all the same; a text that is too long can be short
# enough without its control characters.
CHECKS = ["--exclude-checks", "positive_data_acceptance,negative_data_rejection", "--seed", "1"]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One of its own: made-up administrators disable whom they like."""
    database = {"PARLEY_DYNAMODB": dynamodb.URL} if dynamodb.URL else {}
    emulator = Emulator(REQUESTS_PER_MINUTE="0", **database)
    yield emulator
    emulator.stop()


@pytest.mark.parametrize(
    ("user", "options"),
    [
        ("alice", ["--phases", "coverage", "--include-path-regex", "^/(chats|me)"]),
        ("admin", ["--phases", "examples,fuzzing", "--max-examples", "5"]),
        (None, ["--phases", "fuzzing", "--max-examples", "2"]),
    ],
)
def test_every_answer_is_as_documented(emulator, user, options, tmp_path):
    admin = {"userId": {"S": "admin"}, "roles": {"L": [{"S": "admin"}]}}
    emulator.client("dynamodb").put_item(TableName="UsersTable", Item=admin)
    bearer = ["--header", f"Authorization: Bearer {token(user, SECRET)}"] if user else []
    command = [SCHEMATHESIS, "run", f"{emulator.url}/openapi.json", *options, *CHECKS, *bearer]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=HANGS, check=False)
    assert done.returncode == 0, done.stdout
