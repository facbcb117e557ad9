"""Asynchronous invocations: queued, tried again when the function fails, given up at last (docs/aws.md section 6)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from random import Random
from typing import Any

from parley.clock import Clock
from parley.functions.invocation import Invocation, Outcome

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 300.0
"""Seconds that a throttled event waits, twice as long each time."""


class Condition(StrEnum):
    """What became of an event, in Lambda's words."""

    SUCCESS = "Success"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    EVENT_AGE_EXCEEDED = "EventAgeExceeded"


@dataclass(frozen=True, slots=True)
class Delivery:
    """How often an accepted event is handed on, and after how many seconds: once, at once, unless a fault is due."""

    copies: int = 1
    delay: float = 0.0


ONCE = Delivery()


@dataclass(frozen=True, slots=True)
class Handled:
    """An event that was handled, or given up after so many attempts."""

    invocation: Invocation
    condition: Condition
    attempts: int
    outcome: Outcome

    def record(self, arn: str) -> bytes:
        """Return what a destination gets: Lambda's invocation record. `arn` has no qualifier."""
        qualified = f"{arn}:{self.invocation.qualifier}"
        response = {
            "statusCode": 200,
            "executedVersion": self.invocation.version,
            **({"functionError": self.outcome.function_error} if self.outcome.function_error else {}),
        }
        request = {
            "requestId": self.invocation.request_id,
            "functionArn": qualified,
            "condition": self.condition,
            "approximateInvokeCount": self.attempts,
        }
        record = {
            "version": "1.0",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "requestContext": request,
            "requestPayload": json.loads(self.invocation.payload),
            "responseContext": response,
            "responsePayload": _value(self.outcome.payload),
        }
        return json.dumps(record).encode()


def _value(payload: bytes) -> Any:
    """Return what a function answered; as text where it is no JSON, as bytes that it returned may be none."""
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode(errors="replace")


class Asynchronous:
    """Sees every event that it is given through, in a task of its own.

    The first retry comes after `retry_delay` seconds, the second after twice that. `duplicates` is the likelihood
    that an event is delivered twice without any error, as Lambda may.
    """

    def __init__(
        self,
        run: Callable[[Invocation], Awaitable[Outcome]],
        settle: Callable[[Handled], None],
        retry_delay: float,
        clock: Clock,
        duplicates: float = 0.0,
    ) -> None:
        self._run = run
        self._settle = settle
        self._retry_delay = retry_delay
        self._clock = clock
        self._duplicates = duplicates
        self._random = Random(1)  # noqa: S311 - so that a run can be had again
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, invocation: Invocation, delivery: Delivery = ONCE) -> None:
        """Queue an event."""
        copies = delivery.copies
        if copies == 1 and self._duplicates and self._random.random() < self._duplicates:
            copies = 2
        for _ in range(copies):
            task = asyncio.create_task(self._see_through(invocation, delivery.delay))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Forget every event that has not been handled."""
        for task in self._tasks:
            task.cancel()

    async def _see_through(self, invocation: Invocation, delay: float) -> None:
        accepted = self._clock.time()
        config = invocation.function.invoke_config(invocation.qualifier)
        attempts, throttled = 0, 0
        while True:
            if delay:
                await self._clock.sleep(delay)
            outcome = await self._run(invocation)
            if outcome.throttled:
                delay = min(_FIRST_WAIT * 2**throttled, _LONGEST_WAIT)
                throttled += 1
            else:
                attempts += 1
                delay = self._retry_delay * 2 ** (attempts - 1)
            condition = None
            if outcome.function_error is None:
                condition = Condition.SUCCESS
            elif attempts > config.retries:
                condition = Condition.RETRIES_EXHAUSTED
            elif self._clock.time() - accepted + delay > config.max_event_age:
                condition = Condition.EVENT_AGE_EXCEEDED
            if condition:
                self._settle(Handled(invocation, condition, attempts, outcome))
                return
