"""Event sources: queues whose messages invoke a function, in batches (Lambda guide, "Using Lambda with SQS")."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from parley.account import ACCOUNT_ID, REGION
from parley.aws_services import Services
from parley.clock import Clock
from parley.functions.invocation import Outcome
from parley.template.model import EventSource

_LOOK_SECONDS = 0.25
"""Between two looks at an empty queue. On AWS a long poll waits there instead."""


class Sources:
    """Polls the queues of a template's event sources."""

    def __init__(
        self,
        sources: Iterable[EventSource],
        services: Services,
        invoke: Callable[[str, bytes, str], Awaitable[Outcome]],
        clock: Clock,
    ) -> None:
        self._sources = tuple(sources)
        self._services = services
        self._invoke = invoke
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to poll."""
        self._tasks = [asyncio.create_task(self._poll(source)) for source in self._sources]

    def stop(self) -> None:
        """Poll no more."""
        for task in self._tasks:
            task.cancel()

    async def _poll(self, source: EventSource) -> None:
        while True:
            messages = await self._services.receive(source.queue, source.batch_size)
            if messages:
                await self._hand_over(source, messages)
            else:
                await self._clock.sleep(_LOOK_SECONDS)

    async def _hand_over(self, source: EventSource, messages: list[dict[str, Any]]) -> None:
        """Invoke the function, and delete what it has handled. What it has not is received again, in a while."""
        event = {"Records": [self._record(source, each) for each in messages]}
        outcome = await self._invoke(source.function, json.dumps(event).encode(), source.qualifier)
        if outcome.function_error is not None:
            return
        failed = _failures(outcome.payload) if source.reports_failures else set()
        for each in messages:
            if each["MessageId"] not in failed:
                await self._services.delete(source.queue, each["ReceiptHandle"])

    @staticmethod
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


def _failures(payload: bytes) -> set[str]:
    """Return the messages that a function says it has not handled."""
    try:
        return {each["itemIdentifier"] for each in json.loads(payload)["batchItemFailures"]}
    except (ValueError, TypeError, KeyError):
        return set()
