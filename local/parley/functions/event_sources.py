"""Event sources: queues whose messages invoke a function in batches (Lambda guide, "Using Lambda with SQS")."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from parley.account import ACCOUNT_ID, REGION
from parley.aws_services import AwsServices
from parley.clock import Clock
from parley.functions.invocation import Outcome
from parley.template.model import EventSource

_POLL_SECONDS = 0.25
"""The pause after an empty queue. AWS waits there in a long poll instead."""


class QueuePoller:
    """Polls the queues of a template's event sources."""

    def __init__(
        self,
        sources: Iterable[EventSource],
        services: AwsServices,
        invoke: Callable[[str, bytes, str], Awaitable[Outcome]],
        clock: Clock,
    ) -> None:
        self._sources = tuple(sources)
        self._services = services
        self._invoke = invoke
        self._clock = clock
        self._tasks: dict[EventSource, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Start to poll, once."""
        self.renew(self._sources)

    def renew(self, sources: Iterable[EventSource]) -> None:
        """Poll for these from now on. Those that were polled for already go on."""
        self._sources = tuple(sources)
        for source in self._tasks.keys() - set(self._sources):
            self._tasks.pop(source).cancel()
        for source in set(self._sources) - self._tasks.keys():
            self._tasks[source] = asyncio.create_task(self._poll(source))

    def stop(self) -> None:
        """Stop polling. A function that has got messages goes on; whatever it answers, they stay in the queue."""
        while self._tasks:
            _, task = self._tasks.popitem()
            task.cancel()

    async def _poll(self, source: EventSource) -> None:
        while True:
            messages = await self._services.receive(source.queue, source.batch_size)
            if messages:
                await self._deliver(source, messages)
            else:
                await self._clock.sleep(_POLL_SECONDS)

    async def _deliver(self, source: EventSource, messages: list[dict[str, Any]]) -> None:
        """Invoke the function, and delete the messages that it handled.

        The others become visible again after the queue's visibility time-out.
        """
        event = {"Records": [_record(source, each) for each in messages]}
        outcome = await self._invoke(source.function, json.dumps(event).encode(), source.qualifier)
        if outcome.function_error is not None:
            return
        failed = failed_items(outcome.payload) if source.reports_failures else set()
        if failed is None:
            return
        for each in messages:
            if each["MessageId"] not in failed:
                await self._services.delete(source.queue, each["ReceiptHandle"])


def _record(source: EventSource, message: dict[str, Any]) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": message.get("MessageAttributes", {}),
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{source.queue}",
        "awsRegion": REGION,
    }


def failed_items(payload: bytes) -> set[str] | None:
    """Return the items of a batch that a function reports as not handled; None if the whole batch has failed.

    The rules are those of the Lambda guide's pages on batch item failures, "Success and failure conditions": nothing,
    or an empty list, is a success; an item without an identifier, or what is not JSON, is a failure of all.
    """
    try:
        response = json.loads(payload)
        failures = (response.get("batchItemFailures") or []) if isinstance(response, dict) else []
        found = [each["itemIdentifier"] for each in failures]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return set(found) if all(isinstance(each, str) and each for each in found) else None
