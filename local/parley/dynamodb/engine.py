"""A DynamoDB engine, as the emulator uses one, and what a failure of it is to the caller and in the log.

A failure of the engine is a fault of this machine, and must not look like one of AWS's: SDKs repeat a 500 for half a
minute. So it is answered with an error that they do not repeat, and it has a line in the log.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from parley.account import REGION
from parley.asgi import Response
from parley.errors import StartError

UNITS_HEADER = "x-parley-units"
"""A header of an engine's answer: the capacity units that the request consumed, where the engine says so."""

JSON_TYPE = {"content-type": "application/x-amz-json-1.0"}
URL = f"https://dynamodb.{REGION}.amazonaws.com/"


Record = Callable[..., None]
"""Writes an event to the trace: its kind, and its fields by name."""

Within = Callable[[float, asyncio.Future[Any]], Awaitable[bool]]
"""Waits for work, but at most so many seconds, and returns whether it is done: `within` of the emulator's clock."""


class EngineFailed(Exception):
    """The engine has no right answer to a request. The text is the cause, without anything of the request's content."""


class Engine(Protocol):
    """A DynamoDB that answers requests of DynamoDB's JSON protocol."""

    async def start(self) -> None:
        """Make the engine ready to answer. Raises `StartError`."""

    async def answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer one request. Raises `EngineFailed`."""

    async def stop(self) -> None:
        """End the engine. What it holds is lost, if it is the emulator's own."""

    @property
    def description(self) -> str:
        """The name of the engine, and what follows from it, for the developer."""

    @property
    def keeps(self) -> bool:
        """True if the tables are there in the next run."""


class Database:
    """The DynamoDB that functions reach: an engine, whose failures are told from answers.

    `fallback` returns the engine that serves if this one does not start, for the reason that it gets.
    """

    def __init__(self, engine: Engine, record: Record, fallback: Callable[[str], Engine] | None = None) -> None:
        self._engine = engine
        self._record = record
        self._fallback = fallback
        self._ends = False

    async def start(self) -> None:
        """Start the engine, or if it does not start the fallback. Raises `StartError`."""
        try:
            await self._engine.start()
        except StartError as error:
            await self._engine.stop()
            if self._fallback is None:
                raise
            self._engine = self._fallback(str(error))
            await self._engine.start()

    async def stop(self) -> None:
        """End the engine. From now on it answers nothing, and that is no failure."""
        self._ends = True
        await self._engine.stop()

    @property
    def description(self) -> str:
        """The name of the engine, and what follows from it, for the developer."""
        return self._engine.description

    @property
    def keeps(self) -> bool:
        """True if the tables are there in the next run."""
        return self._engine.keeps

    async def answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer one request: as the engine does or, if it fails, with an error that no SDK repeats."""
        try:
            answer = await self._engine.answer(headers, body)
        except EngineFailed as failure:
            return self._failure(headers, body, str(failure))
        except Exception as error:
            return self._failure(headers, body, place_of(error))
        if answer.status < 500:
            return answer
        return self._failure(headers, body, f"it answered with {answer.status} {_error_type(answer.body)}".rstrip())

    def _failure(self, headers: Mapping[str, str], body: bytes, cause: str) -> Response:
        operation, table = operation_of(headers), _tables(body)
        if not self._ends:
            self._record("engine", operation=operation, table=table, cause=cause)
        subject = f"{operation} on {table}" if table else operation
        return error_response(
            "EngineFailure",
            f"The emulator's DynamoDB failed at {subject}: {cause}. AWS would not answer so: this is a fault of the "
            "emulator's, not of the request's.",
        )


def place_of(error: Exception) -> str:
    """Return the kind of an error and where it was raised. Its text may hold something of the request."""
    raised = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {'/'.join(Path(raised.filename).parts[-2:])}:{raised.lineno}"


def operation_of(headers: Mapping[str, str]) -> str:
    """Return the name of the operation that a request asks for; empty if it names none."""
    target = next((value for name, value in headers.items() if name.lower() == "x-amz-target"), "")
    return target.partition(".")[2]


def error_response(error_type: str, message: str) -> Response:
    """Return an error as DynamoDB words it, with the status of errors that SDKs do not repeat."""
    content = {"__type": f"com.amazonaws.dynamodb.v20120810#{error_type}", "message": message}
    return Response.of_json(400, content, JSON_TYPE)


def _tables(body: bytes) -> str:
    """Return the names of the tables that a request names, separated by commas."""
    request = _parsed(body)
    if not isinstance(request, dict):
        return ""
    found = [request.get("TableName"), *_of_batch(request), *_of_transaction(request)]
    return ", ".join(sorted({name for name in found if isinstance(name, str)}))


def _of_batch(request: Mapping[str, Any]) -> list[Any]:
    items = request.get("RequestItems")
    return list(items) if isinstance(items, dict) else []


def _of_transaction(request: Mapping[str, Any]) -> list[Any]:
    items = request.get("TransactItems")
    listed = items if isinstance(items, list) else ()
    parts = [part for item in listed if isinstance(item, dict) for part in item.values()]
    return [part.get("TableName") for part in parts if isinstance(part, dict)]


def _error_type(body: bytes) -> str:
    answer = _parsed(body)
    return str(answer.get("__type", "")).rpartition("#")[2] if isinstance(answer, dict) else ""


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
