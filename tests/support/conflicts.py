"""Conflicts of writes with other transactions, planted in front of the database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from handlers.chat.store.dynamodb import CONNECTION

TRANSACTION = "TransactWriteItems"
WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", TRANSACTION)
CONFLICT, CONDITION_FAILED = "TransactionConflict", "ConditionalCheckFailed"
ALWAYS = 1_000


class Conflicts:
    """The conflicts of the writes that a client sends: `times` of them, and then none."""

    def __init__(self, times: int, reasons: tuple[str, ...]) -> None:
        self.times, self.reasons = times, reasons
        self.bodies: list[dict[str, Any]] = []
        """The requests that met one, and the one after them."""

    def answer(self, model: Any, params: Mapping[str, Any], **_: Any) -> tuple[object, dict[str, Any]] | None:
        """Answer a request in place of DynamoDB, or let it pass."""
        if model.name not in WRITES or self.times < 0:
            return None
        self.times -= 1
        self.bodies.append(json.loads(params["body"]))
        if self.times < 0:
            return None
        response = Response()
        if model.name == TRANSACTION:
            reasons = [{"Code": code} for code in self.reasons]
            return response, error("TransactionCanceledException") | {"CancellationReasons": reasons}
        return response, error("TransactionConflictException")


class Response:
    """The part of an HTTP response at which botocore still looks."""

    status_code = 400


def error(code: str) -> dict[str, Any]:
    return {"Error": {"Code": code, "Message": "Transaction is ongoing for the item"}, "ResponseMetadata": {}}


@contextmanager
def conflicts(times: int, *reasons: str) -> Iterator[Conflicts]:
    """Plant conflicts in front of the database, whichever it is."""
    planted = Conflicts(times, reasons or (CONFLICT,))
    events = CONNECTION.client.meta.events
    events.register("before-call.dynamodb.*", planted.answer)
    try:
        yield planted
    finally:
        events.unregister("before-call.dynamodb.*", planted.answer)
