"""The connection to DynamoDB of all tables, and the base of their models. Only the package `store` uses them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pynamodb.connection import Connection as TablesConnection
from pynamodb.connection import TableConnection
from pynamodb.exceptions import TableError, VerboseClientError
from pynamodb.models import Model

from handlers.chat import cost
from handlers.chat.aws import BOTOCORE_SESSION, CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS, RETRIES
from handlers.chat.concurrency import Runtime

if TYPE_CHECKING:
    from botocore.session import Session


CONFLICT_PAUSES_SECONDS = (0.03, 0.075, 0.15)
"""Pauses before a request is sent again after a conflict, at most: jitter takes up to half of each away."""


class _Connection(TablesConnection):
    """PynamoDB's connection, on the process's one session.

    It counts the units of its answers, and sends a request again that met a transaction at one of its items.
    """

    runtime = Runtime()
    """The pauses between the tries, as the process's `Store` has them."""

    @property
    def session(self) -> Session:
        return BOTOCORE_SESSION

    def open(self) -> None:
        """Make the client now: every first request needs it, and Lambda gives a starting environment more CPU."""
        _ = self.client

    def dispatch(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        # Here and not at each write: every request of the store comes through here. DynamoDB refuses a write, and
        # cancels a transaction, while another transaction is at the same item. Nothing was written then, and neither
        # botocore nor PynamoDB tries again (docs/aws.md section 10). A conflict says nothing about a condition, so it
        # must not become a "no".
        for pause in CONFLICT_PAUSES_SECONDS:
            try:
                return self._dispatch(operation_name, operation_kwargs)
            except VerboseClientError as error:
                if not _is_conflict(error):
                    raise
            self.runtime.sleep(pause * self.runtime.jitter())
        return self._dispatch(operation_name, operation_kwargs)

    def _dispatch(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        # A copy: botocore adds the token of a transaction, and the next try is another transaction.
        answer: dict[str, Any] = super().dispatch(operation_name, dict(operation_kwargs))
        cost.count(operation_name, answer or {})
        return answer


def _is_conflict(error: VerboseClientError) -> bool:
    """Return True if another transaction was at the item of a write, or at an item of a transaction."""
    if error.response["Error"].get("Code") == "TransactionConflictException":
        return True
    return any(reason and reason.code == "TransactionConflict" for reason in error.cancellation_reasons)


def _take_items_as_they_are(**event: Any) -> None:
    """Take the items of a Query from the JSON, before botocore parses it (its event `before-parse`).

    botocore looks up each value in the service's description: 4 ms for a hundred messages, where JSON takes 0.5. The
    result is the same, but for bytes, which are base64 in JSON.
    """
    response = event["response_dict"]
    body: bytes = response["body"]
    if response["status_code"] != 200 or b'"B":' in body or b'"BS":' in body:
        return
    try:
        answer = json.loads(body)
    except ValueError:
        return  # botocore says what is wrong
    if isinstance(answer, dict) and isinstance(items := answer.pop("Items", None), list):
        event["customized_response_dict"]["Items"] = items
        response["body"] = json.dumps(answer).encode()


BOTOCORE_SESSION.register("before-parse.dynamodb.Query", _take_items_as_they_are)

CONNECTION = _Connection(
    connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS,
    read_timeout_seconds=READ_TIMEOUT_SECONDS,
    max_retry_attempts=RETRIES,
)
"""The connection of all tables. By itself, PynamoDB makes a session and a client for each table."""


class Table(Model):
    """A table of the template, on the shared connection."""

    @classmethod
    def _get_connection(cls) -> TableConnection:
        table = super()._get_connection()
        if table.connection is not CONNECTION:
            _share(table)
        return table


def _share(table: TableConnection) -> None:
    """Put a table on the shared connection. Two models may have the same table."""
    try:
        CONNECTION.get_meta_table(table.table_name)
    except TableError:
        CONNECTION.add_meta_table(table.connection.get_meta_table(table.table_name))
    table.connection = CONNECTION
