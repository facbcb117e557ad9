"""Asynchronous invocations: queued, tried again when the function fails, given up at last (AWS.md section 6)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import count

from local.functions.outcome import Invocation, Outcome
from local.functions.variables import VERSION


class Condition(StrEnum):
    """Why an event was given up, in Lambda's words."""

    RETRIES_EXHAUSTED = "RetriesExhausted"
    EVENT_AGE_EXCEEDED = "EventAgeExceeded"


@dataclass(frozen=True, slots=True)
class Delivery:
    """How often an accepted event is handed on, and after how many seconds: once, at once, unless a fault is due."""

    copies: int = 1
    delay: float = 0.0


ONCE = Delivery()


@dataclass(frozen=True, slots=True)
class GivenUp:
    """An event that its function could not handle in so many attempts."""

    invocation: Invocation
    condition: Condition
    attempts: int
    outcome: Outcome

    def record(self, arn: str) -> bytes:
        """Return what an on-failure destination gets: Lambda's invocation record."""
        response = {"statusCode": 200, "executedVersion": VERSION, "functionError": self.outcome.function_error}
        request = {
            "requestId": self.invocation.request_id,
            "functionArn": f"{arn}:{VERSION}",
            "condition": self.condition,
            "approximateInvokeCount": self.attempts,
        }
        record = {
            "version": "1.0",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "requestContext": request,
            "requestPayload": json.loads(self.invocation.payload),
            "responseContext": response,
            "responsePayload": json.loads(self.outcome.payload),
        }
        return json.dumps(record).encode()


class Asynchronous:
    """Sees every event that it is given through, in a task of its own.

    The first retry comes after `retry_delay` seconds, the second after twice that.
    """

    def __init__(
        self,
        run: Callable[[Invocation], Awaitable[Outcome]],
        give_up: Callable[[GivenUp], None],
        retry_delay: float,
    ) -> None:
        self._run = run
        self._give_up = give_up
        self._retry_delay = retry_delay
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, invocation: Invocation, delivery: Delivery = ONCE) -> None:
        """Queue an event."""
        for _ in range(delivery.copies):
            task = asyncio.create_task(self._see_through(invocation, delivery.delay))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Forget every event that has not been handled."""
        for task in self._tasks:
            task.cancel()

    async def _see_through(self, invocation: Invocation, delay: float) -> None:
        accepted = time.monotonic()
        config = invocation.function.invoke_config(invocation.qualifier)
        if delay:
            await asyncio.sleep(delay)
        for attempt in count(1):
            outcome = await self._run(invocation)
            if outcome.function_error is None:
                return
            delay = self._retry_delay * 2 ** (attempt - 1)
            condition = None
            if attempt > config.retries:
                condition = Condition.RETRIES_EXHAUSTED
            elif time.monotonic() - accepted + delay > config.max_event_age:
                condition = Condition.EVENT_AGE_EXCEEDED
            if condition:
                self._give_up(GivenUp(invocation, condition, attempt, outcome))
                return
            await asyncio.sleep(delay)
