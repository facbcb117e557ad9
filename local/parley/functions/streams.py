"""Streams of tables: changes that invoke a function in batches (Lambda guide, "Using Lambda with DynamoDB").

The changes of a shard are handled in their order. A batch that fails is tried again, and holds up those behind it,
until it succeeds, its retries are used up or its changes are too old.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from parley.account import REGION
from parley.clock import Clock
from parley.functions.event_sources import failed_items
from parley.functions.invocation import Outcome
from parley.functions.variables import function_arn
from parley.template import event_patterns
from parley.template.model import StreamSource
from parley.trace import Trace

Record = dict[str, Any]
Call = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any] | None]]
"""An operation of the DynamoDB Streams API with its parameters; None if it is refused."""

_POLL_SECONDS = 0.25
"""The pause after an empty answer: Lambda asks four times a second."""

_LONGEST_PAUSE = 30.0
"""The longest pause before a retry. The first one is a second, and each is twice the one before."""


@dataclass(frozen=True, slots=True)
class _Shard:
    """A shard of a stream, and where its reader stands."""

    stream: str
    name: str
    iterator: str


class StreamPoller:
    """Polls the streams of a template's tables. `deliver` sends the record of a batch that is given up to an ARN."""

    def __init__(
        self,
        sources: Iterable[StreamSource],
        call: Call,
        invoke: Callable[[str, bytes, str], Awaitable[Outcome]],
        deliver: Callable[[str, bytes, str], None],
        trace: Trace,
        clock: Clock,
    ) -> None:
        self._sources = tuple(sources)
        self._call = call
        self._invoke = invoke
        self._deliver = deliver
        self._trace = trace
        self._clock = clock
        self._tasks: list[tuple[StreamSource, asyncio.Task[None]]] = []

    async def start(self) -> None:
        """Start to poll, once. What changes from now on is seen."""
        await self.renew(self._sources)

    async def renew(self, sources: Iterable[StreamSource]) -> None:
        """Poll for these from now on. Those that were polled for already go on."""
        self._sources = tuple(sources)
        for source, task in self._tasks:
            if source not in self._sources:
                task.cancel()
        self._tasks = [(source, task) for source, task in self._tasks if source in self._sources]
        going = [source for source, _ in self._tasks]
        for source in self._sources:
            if source in going:
                continue
            shards = await self._shards(source)
            if not shards:
                text = f"{source.function} gets no changes of {source.table}: this DynamoDB has no stream of the table."
                self._trace.record("note", text=text)
            self._tasks += [(source, asyncio.create_task(self._poll(source, shard))) for shard in shards]

    def stop(self) -> None:
        """Stop polling."""
        while self._tasks:
            _, task = self._tasks.pop()
            task.cancel()

    async def _shards(self, source: StreamSource) -> list[_Shard]:
        streams = (await self._call("ListStreams", {"TableName": source.table}) or {}).get("Streams", [])
        found = []
        for stream in (each["StreamArn"] for each in streams[-1:]):
            described = await self._call("DescribeStream", {"StreamArn": stream}) or {}
            for shard in described.get("StreamDescription", {}).get("Shards", []):
                where = {
                    "StreamArn": stream,
                    "ShardId": shard["ShardId"],
                    "ShardIteratorType": "TRIM_HORIZON" if source.from_start else "LATEST",
                }
                answer = await self._call("GetShardIterator", where)
                if answer and answer.get("ShardIterator"):
                    found.append(_Shard(stream, shard["ShardId"], answer["ShardIterator"]))
        return found

    async def _poll(self, source: StreamSource, shard: _Shard) -> None:
        iterator: str | None = shard.iterator
        while iterator:
            answer = await self._call("GetRecords", {"ShardIterator": iterator, "Limit": source.batch_size})
            if answer is None:
                # The engine may be starting again: the same place is asked for once more.
                await self._clock.sleep(_POLL_SECONDS)
                continue
            records = [_record(each, shard) for each in answer.get("Records", []) if _is_change(each)]
            if wanted := [each for each in records if _is_wanted(source, each)]:
                await self._handle(source, shard, wanted)
            if not answer.get("Records"):
                await self._clock.sleep(_POLL_SECONDS)
            iterator = answer.get("NextShardIterator")

    async def _handle(self, source: StreamSource, shard: _Shard, batch: list[Record]) -> None:
        """Invoke the function with a batch until it is handled or given up."""
        attempts = 0
        while batch:
            if 0 <= source.max_age < self._clock.time() - _created(batch[0]):
                self._give_up(source, shard, batch, "RecordAgeExceeded", attempts)
                return
            payload = json.dumps({"Records": batch}).encode()
            outcome = await self._invoke(source.function, payload, source.qualifier)
            rest = _rest(source, batch, outcome)
            if not rest:
                return
            attempts += not outcome.throttled
            if source.bisects and len(rest) > 1:
                # Each half has the same number of attempts left: the guide says that bisecting costs none.
                middle = len(rest) // 2
                await self._handle(source, shard, rest[:middle])
                await self._handle(source, shard, rest[middle:])
                return
            if len(rest) < len(batch):
                # The function has got further, so the rest is a new batch.
                attempts = 0
            elif 0 <= source.retries < attempts:
                self._give_up(source, shard, rest, "RetryAttemptsExhausted", attempts)
                return
            batch = rest
            await self._clock.sleep(min(2.0 ** min(attempts, 5), _LONGEST_PAUSE))

    def _give_up(self, source: StreamSource, shard: _Shard, batch: list[Record], condition: str, attempts: int) -> None:
        """Record a batch that is given up, and tell the source's destination, if it has one."""
        self._trace.record(
            "dead_letter",
            function=source.function,
            request_id=f"{len(batch)} changes of {source.table}",
            condition=condition,
            attempts=attempts,
            queue=None,
            destination=source.on_failure or None,
        )
        if source.on_failure:
            now = datetime.fromtimestamp(self._clock.time(), UTC)
            content = {
                "requestContext": {
                    "requestId": batch[0]["eventID"],
                    "functionArn": function_arn(source.function),
                    "condition": condition,
                    "approximateInvokeCount": attempts,
                },
                "responseContext": {
                    "statusCode": 200,
                    "executedVersion": source.qualifier,
                    "functionError": "Unhandled",
                },
                "version": "1.0",
                "timestamp": _text(now),
                "DDBStreamBatchInfo": {
                    "shardId": shard.name,
                    "startSequenceNumber": _number(batch[0]),
                    "endSequenceNumber": _number(batch[-1]),
                    "approximateArrivalOfFirstRecord": _text(datetime.fromtimestamp(_created(batch[0]), UTC)),
                    "approximateArrivalOfLastRecord": _text(datetime.fromtimestamp(_created(batch[-1]), UTC)),
                    "batchSize": len(batch),
                    "streamArn": shard.stream,
                },
            }
            self._deliver(source.on_failure, json.dumps(content).encode(), f"The stream of {source.table}")


def _rest(source: StreamSource, batch: list[Record], outcome: Outcome) -> list[Record]:
    """Return what of a batch is still to be handled: from the first change that the function reports as failed on."""
    if outcome.function_error is not None:
        return batch
    if not source.reports_failures:
        return []
    failed = failed_items(outcome.payload)
    if failed is None:
        return batch
    numbers = [_number(each) for each in batch]
    if failed - set(numbers):
        # What is no change of the batch cannot be a checkpoint, so all of it is tried again.
        return batch
    return batch[min((numbers.index(each) for each in failed), default=len(batch)) :]


def _record(record: Record, shard: _Shard) -> Record:
    return {**record, "awsRegion": REGION, "eventSourceARN": shard.stream}


def _is_change(record: Record) -> bool:
    """Tell if a write has changed something. One that has not is in no stream of AWS's."""
    images = record["dynamodb"]
    return "OldImage" not in images or images.get("NewImage") != images["OldImage"]


def _is_wanted(source: StreamSource, record: Record) -> bool:
    return not source.filters or any(event_patterns.matches(pattern, record) for pattern in source.filters)


def _number(record: Record) -> str:
    return str(record["dynamodb"]["SequenceNumber"])


def _created(record: Record) -> float:
    return float(record["dynamodb"]["ApproximateCreationDateTime"])


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
