"""Asynchronous invocations: queued, retried if the function fails, given up after that (docs/aws.md section 6)."""

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

_FIRST_THROTTLE_SECONDS, _MAX_THROTTLE_SECONDS = 1.0, 300.0
"""The wait of a throttled event: the first one, doubled each time, and the longest one."""


class Condition(StrEnum):
    """The result of an event, in Lambda's words."""

    SUCCESS = "Success"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    EVENT_AGE_EXCEEDED = "EventAgeExceeded"


@dataclass(frozen=True, slots=True)
class Delivery:
    """The number of copies of an accepted event, and the seconds before each is delivered. Faults change these."""

    copies: int = 1
    delay: float = 0.0


ONCE = Delivery()


@dataclass(frozen=True, slots=True)
class CompletedEvent:
    """An event that was handled, or that was given up after this many attempts."""

    invocation: Invocation
    condition: Condition
    attempts: int
    outcome: Outcome

    def record(self, arn: str) -> bytes:
        """Return Lambda's invocation record, which a destination gets. `arn` has no qualifier."""
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
    """Return a function's response; as text if it is not JSON, which happens if the function returned bytes."""
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode(errors="replace")


class AsynchronousInvocations:
    """The queue of asynchronous invocations. Each event has a task of its own until it is completed.

    The first retry comes after `retry_delay` seconds, the second after twice that. `duplicates` is the probability
    that an event is delivered twice although nothing failed, as Lambda may do.
    """

    def __init__(
        self,
        run: Callable[[Invocation], Awaitable[Outcome]],
        on_completed: Callable[[CompletedEvent], None],
        retry_delay: float,
        clock: Clock,
        duplicates: float = 0.0,
    ) -> None:
        self._run = run
        self._on_completed = on_completed
        self._retry_delay = retry_delay
        self._clock = clock
        self._duplicates = duplicates
        self._random = Random(1)  # noqa: S311 - a fixed seed, so that a run can be repeated
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, invocation: Invocation, delivery: Delivery = ONCE) -> None:
        """Queue an event."""
        copies = delivery.copies
        if copies == 1 and self._duplicates and self._random.random() < self._duplicates:
            copies = 2
        for _ in range(copies):
            task = asyncio.create_task(self._complete(invocation, delivery.delay))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Drop every event that is not completed. One that runs goes on to its end, and has no retry."""
        for task in self._tasks:
            task.cancel()

    async def _complete(self, invocation: Invocation, delay: float) -> None:
        """Run an event until it succeeds, its retries are used up, or it is too old."""
        accepted = self._clock.time()
        config = invocation.function.invoke_config(invocation.qualifier)
        attempts, throttled = 0, 0
        while True:
            if delay:
                await self._clock.sleep(delay)
            outcome = await self._run(invocation)
            if outcome.throttled:
                # A throttled event did not run, so it costs no attempt. It waits longer each time, until it is too old.
                delay = min(_FIRST_THROTTLE_SECONDS * 2**throttled, _MAX_THROTTLE_SECONDS)
                throttled += 1
            else:
                attempts += 1
                delay = self._retry_delay * 2 ** (attempts - 1)
            condition = None
            if outcome.function_error is None:
                condition = Condition.SUCCESS
            elif attempts > config.retries:
                condition = Condition.RETRIES_EXHAUSTED
            # The age counts at the time of the next attempt: an event that would be too old then is given up now.
            elif self._clock.time() - accepted + delay > config.max_event_age:
                condition = Condition.EVENT_AGE_EXCEEDED
            if condition:
                self._on_completed(CompletedEvent(invocation, condition, attempts, outcome))
                return
