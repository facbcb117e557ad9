"""Dynoxide, the emulator's own DynamoDB: an engine in Rust on SQLite, in a process of its own on a loopback address.

Its data are in a file: in the data folder, or if nothing is kept in shared memory. So nothing is lost if the process
dies: it is started again on the same file. Where there is not enough shared memory they are in the process's own, and
its end is the end of them.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley.account import REGION
from parley.asgi import Response, json_object
from parley.dynamodb.dynoxide import corrections
from parley.dynamodb.dynoxide.client import Client, NoAnswer, TooLate
from parley.dynamodb.dynoxide.process import Data, EngineProcess, start, temporary_data
from parley.dynamodb.dynoxide.syncing import flush_again_and_again
from parley.dynamodb.dynoxide.units import asks, is_metered, units_in, with_units_asked, without_units
from parley.dynamodb.engine import JSON_TYPE, UNITS_HEADER, EngineFailed, Record, Within, error_response, operation_of
from parley.errors import StartError

ANSWER_SECONDS = 30
_DEATH_SECONDS = 30
"""How long a process may take to end after it has closed a connection. The end explains the failure."""

_FULL_BYTES = 1 << 20
"""Free space below which a write of the engine may fail for want of it."""

_ARN, _ENGINES_ARN = f"arn:aws:dynamodb:{REGION}:".encode(), b"arn:aws:dynamodb:dynoxide:"
"""The beginning of ARNs here, and as the engine writes them."""

_SIGNED = {
    # The engine compares nothing in a signature, but it refuses a request without one. AWS would, too; the emulator
    # takes such requests, for tools that call its tables without keys.
    "authorization": f"AWS4-HMAC-SHA256 Credential=emulator/20260101/{REGION}/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=none",
    "x-amz-date": "20260101T000000Z",
}
_KEPT = ("content-type", "x-amz-target")


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of the process, and the connections to it."""

    process: EngineProcess
    client: Client


class Dynoxide:
    """The engine: its process, and the requests to it. A process that has died is started again.

    `place` returns the place for its data; if it returns None, they are in the process's own memory.
    """

    def __init__(
        self, binary: Path, record: Record, within: Within, place: Callable[[], Data | None] = temporary_data
    ) -> None:
        self._binary = binary
        self._record = record
        self._within = within
        self._place = place
        self._data: Data | None = None
        self._run: _Run | None = None
        self._changing = asyncio.Lock()
        self._flushing: tuple[asyncio.Future[None], asyncio.Task[None]] | None = None
        self._tables: dict[str, corrections.Description] = {}

    @property
    def description(self) -> str:
        """The name of the engine, and what follows from it, for the developer."""
        if self.keeps:
            return f"embedded: Dynoxide; its tables are kept in {self._data.folder}" if self._data else ""
        return "embedded: Dynoxide; its tables are gone when the emulator ends"

    @property
    def keeps(self) -> bool:
        """True if the tables are there in the next run."""
        return self._data is not None and self._data.keeps

    async def start(self) -> None:
        """Start the process, and wait until it listens. Raises `StartError`."""
        async with self._changing:
            self._data = self._place()
            self._run = await self._started()
            if self._data and self._data.keeps:
                stopping: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                flushing = flush_again_and_again(self._data.files, self._within, stopping, self._tell_of_loss)
                self._flushing = stopping, asyncio.create_task(flushing)

    async def _started(self) -> _Run:
        process = await start(self._binary, self._data, self._within)
        return _Run(process, Client(process.host, process.port, self._within, ANSWER_SECONDS))

    async def stop(self) -> None:
        """End the process, and remove its data if they are not to be kept."""
        async with self._changing:
            run, self._run = self._run, None
            if run:
                run.client.close()
                await run.process.end()
            if self._flushing:
                stopping, flushing = self._flushing
                stopping.set_result(None)
                await flushing
                self._flushing = None
            if self._data and not self._data.keeps:
                shutil.rmtree(self._data.folder, ignore_errors=True)

    async def answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer one request. Raises `EngineFailed`; if the process has died, another one runs then."""
        operation = operation_of(headers)
        sent = {name.lower(): value for name, value in headers.items() if name.lower() in _KEPT} | _SIGNED
        request = json_object(body) if is_metered(operation) else None
        if request is None:
            self._tables.clear()
            answer = await self._post(sent, body.replace(_ARN, _ENGINES_ARN))
            return _answered(answer, answer.body.replace(_ENGINES_ARN, _ARN), None)
        asked, (request, body) = request, corrections.corrected(operation, request, body)
        if refusal := await self._refusal(operation, request):
            return error_response("ValidationException", refusal)
        if asks(request):
            answer = await self._post(sent, body)
            content, units = answer.body, units_in(answer.body)
        else:
            answer = await self._post(sent, with_units_asked(request, body))
            content, units = without_units(answer.body)
        if answer.status == 200:
            content = corrections.corrected_answer(operation, asked, content)
        return _answered(answer, content, units)

    async def _refusal(self, operation: str, request: dict[str, Any]) -> str | None:
        """Return why AWS refuses a request that the engine takes; None if it does not."""
        table = request.get("TableName")
        if not (isinstance(table, str) and corrections.needs_description(operation, request)):
            return None
        if table not in self._tables:
            asking = {"content-type": JSON_TYPE["content-type"], "x-amz-target": "DynamoDB_20120810.DescribeTable"}
            answer = await self._post(asking | _SIGNED, json.dumps({"TableName": table}).encode())
            if answer.status != 200:
                return None  # the engine reports this to the caller
            self._tables[table] = json.loads(answer.body)["Table"]
        return corrections.refusal(request, self._tables[table])

    async def _post(self, headers: Mapping[str, str], body: bytes) -> Response:
        run = await self._running()
        try:
            answer = await run.client.post(headers, body)
            if answer.status >= 500 and (reason := self._reason_of_the_disk()):
                raise EngineFailed(reason)
            return answer
        except TooLate as failure:
            raise EngineFailed(str(failure)) from None
        except NoAnswer as failure:
            # The end of the process explains it. It may be known a moment after the end of the connection.
            await self._within(_DEATH_SECONDS, asyncio.ensure_future(run.process.ended.wait()))
            how = await run.process.end(keep=True) if run.process.ended.is_set() else str(failure)
            await self._running()
            raise EngineFailed(how) from None

    def _reason_of_the_disk(self) -> str | None:
        """Return the reason for a failed write if it is a full disk or a removed folder, with the next step."""
        if self._data is None:
            return None
        try:
            if shutil.disk_usage(self._data.folder).free >= _FULL_BYTES:
                return None
        except OSError as error:
            return f"{self._data.folder}: {error.strerror}. Start the emulator again"
        return (
            f"the disk of {self._data.folder} is full; free some space, and send the message again. "
            "Nothing that was acknowledged is lost"
        )

    def _tell_of_loss(self) -> None:
        if self._data:
            text = (
                f"{self._data.folder} was removed. What is in the tables is lost at the end. Start the emulator again."
            )
            self._record("note", text=text)

    async def _running(self) -> _Run:
        """Return the run of the process. If it has ended, start another one on the same data, if they are kept."""
        async with self._changing:
            run = self._run
            if run is None:
                raise EngineFailed("it does not run: the emulator ends")
            if not run.process.ended.is_set():
                return run
            how = await run.process.end(keep=True)
            if self._data is None:
                raise EngineFailed(f"{how}, and its tables with it; start the emulator again")
            try:
                self._run = await self._started()
            except StartError as error:
                raise EngineFailed(f"{how}, and it cannot be started again: {error}") from None
            self._record("note", text=f"Dynoxide runs again, on the same data: {how}.")
            return self._run


def _answered(answer: Response, content: bytes, units: float | None) -> Response:
    # The content may have changed, and SDKs compare it with its checksum.
    kept = {name: value for name, value in answer.headers.items() if name == "x-amzn-requestid"}
    shown = {} if units is None else {UNITS_HEADER: str(units)}
    return Response(answer.status, {**JSON_TYPE, **kept, "x-amz-crc32": str(zlib.crc32(content)), **shown}, content)
