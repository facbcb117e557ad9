"""The DynamoDB of the tests: moto's, or the one at PARLEY_TEST_DYNAMODB, whose tables are then deleted."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
from parley.template.model import Table
from parley.template.reader import read

VARIABLE = "PARLEY_TEST_DYNAMODB"
URL = os.environ.get(VARIABLE)
"""None for moto's. Credentials are made up, so that no real account can be meant by mistake."""

TABLES = tuple(
    replace(table, ttl_attribute=None) for table in read(Path(__file__).parents[2] / "infra" / "template.yaml").tables
)
"""The tables of the template, without their time to live: the clock of the tests is in the past, and DynamoDB Local
would delete their rows in the middle of a test."""


def client(url: str) -> Any:
    """A client for the DynamoDB at this URL."""
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    return boto3.client("dynamodb", endpoint_url=url, **keys)


def delete_tables(dynamodb: Any, tables: Iterable[Table] = TABLES) -> None:
    """Delete those of the tables that exist, and wait until they are gone."""
    there = dynamodb.list_tables()["TableNames"]
    for name in [table.name for table in tables if table.name in there]:
        dynamodb.delete_table(TableName=name)
        dynamodb.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
