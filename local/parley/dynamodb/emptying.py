"""The return of a DynamoDB to its start: the template's tables without items, and the users."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

from parley.dynamodb.engine import JSON_TYPE, Database
from parley.dynamodb.provision import user_rows
from parley.template.model import Table, Template


class NotEmptied(Exception):
    """The DynamoDB refused. The text says what and why."""


async def empty(database: Database, template: Template, users: Iterable[str]) -> None:
    """Delete all tables, create those of the template, and add the users. Raises `NotEmptied`.

    A table is deleted and not emptied: then its stream, its indexes and its time to live are those of the start too.
    """
    # A list has 100 tables at most.
    while names := (await _call(database, "ListTables", {}))["TableNames"]:
        await asyncio.gather(*(_call(database, "DeleteTable", {"TableName": name}) for name in names))
    await asyncio.gather(*(_create(database, table) for table in template.tables))
    await asyncio.gather(*(_call(database, "PutItem", row) for row in user_rows(template, users)))


async def _create(database: Database, table: Table) -> None:
    await _call(database, "CreateTable", table.definition)
    if table.ttl_attribute:
        ttl = {"Enabled": True, "AttributeName": table.ttl_attribute}
        await _call(database, "UpdateTimeToLive", {"TableName": table.name, "TimeToLiveSpecification": ttl})


async def _call(database: Database, operation: str, content: Mapping[str, Any]) -> dict[str, Any]:
    headers = {**JSON_TYPE, "x-amz-target": f"DynamoDB_20120810.{operation}"}
    answer = await database.answer(headers, json.dumps(content).encode())
    if answer.status != 200:
        raise NotEmptied(f"{operation} was refused: {answer.body.decode(errors='replace')[:300]}")
    return dict(json.loads(answer.body or b"{}"))
