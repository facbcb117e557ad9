"""Asynchronous invocations: queued, retried if the function fails, given up after that (docs/aws.md section 6)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from random import Random
from typing import Any, Protocol

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


@dataclass(frozen=True, slots=True)
class AcceptedEvent:
    """An event that was accepted, with the time of that, and not completed after this many attempts."""

    invocation: Invocation
    accepted: float
    attempts: int = 0


class EventLog(Protocol):
    """Keeps accepted events until they are completed. A method that cannot write raises `OSError`."""

    def accept(self, event: AcceptedEvent) -> None:
        """Keep an event, before the caller hears that it was accepted."""

    def note_attempts(self, request_id: str, attempts: int) -> None:
        """Keep the number of attempts so far."""

    def complete(self, request_id: str) -> None:
        """Forget an event."""


class NotAccepted(Exception):
    """An event cannot be kept, so it is not accepted. The text is the reason."""


def _value(payload: bytes) -> Any:
    """Return a function's response; as text if it is not JSON, which happens if the function returned bytes."""
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode(errors="replace")


class AsynchronousInvocations:
    """The queue of asynchronous invocations. Each event has a task of its own until it is completed.

    The first retry comes after `retry_delay` seconds, the second after twice that. `duplicates` is the probability
    that an event is delivered twice although nothing failed, as Lambda may do. `log` keeps the events for another run.
    """

    def __init__(
        self,
        run: Callable[[Invocation], Awaitable[Outcome]],
        on_completed: Callable[[CompletedEvent], None],
        retry_delay: float,
        clock: Clock,
        duplicates: float = 0.0,
        log: EventLog | None = None,
    ) -> None:
        self._run = run
        self._on_completed = on_completed
        self._retry_delay = retry_delay
        self._clock = clock
        self._duplicates = duplicates
        self._log = log
        self._random = Random(1)  # noqa: S311 - a fixed seed, so that a run can be repeated
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, invocation: Invocation, delivery: Delivery = ONCE) -> None:
        """Queue an event. Raises `NotAccepted`."""
        copies = delivery.copies
        if copies == 1 and self._duplicates and self._random.random() < self._duplicates:
            copies = 2
        event = AcceptedEvent(invocation, self._clock.time())
        if self._log and copies:
            try:
                self._log.accept(event)
            except OSError as error:
                raise NotAccepted(str(error)) from None
        for _ in range(copies):
            self._start(event, delivery.delay)

    def resume(self, event: AcceptedEvent) -> None:
        """Queue an event again that an earlier run has accepted and not completed."""
        self._start(event, 0.0)

    def _start(self, event: AcceptedEvent, delay: float) -> None:
        task = asyncio.create_task(self._complete(event, delay))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Drop every event that is not completed: it has no retry in this run. One that is kept goes on in the next."""
        for task in self._tasks:
            task.cancel()

    async def _complete(self, event: AcceptedEvent, delay: float) -> None:
        """Run an event until it succeeds, its retries are used up, or it is too old."""
        invocation, accepted = event.invocation, event.accepted
        config = invocation.function.invoke_config(invocation.qualifier)
        attempts, throttled = event.attempts, 0
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
                self._note_attempts(invocation.request_id, attempts)
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
                self._note_completed(invocation.request_id)
                return

    def _note_attempts(self, request_id: str, attempts: int) -> None:
        # If the log cannot be written, the event may run once more than it should. That may always be.
        if self._log:
            with suppress(OSError):
                self._log.note_attempts(request_id, attempts)

    def _note_completed(self, request_id: str) -> None:
        if self._log:
            with suppress(OSError):
                self._log.complete(request_id)
