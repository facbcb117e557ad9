"""Named steps of an own agent: what its functions have returned is stored before it is used, and never made again."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

from handlers.chat.concurrency import Runtime, outcome_of
from handlers.chat.log import logger
from handlers.chat.records import NamedStep, Usage, total_usage
from handlers.chat.replies.attempt import Attempt
from handlers.chat.replies.handing import Handing
from handlers.chat.replies.work import HandOnDue, Lost
from handlers.chat.store import Store
from handlers.chat.turns import lifecycle, steps

MAX_RESULT_BYTES = 256 * 1024
"""Bytes of JSON of one result. An item of DynamoDB holds 400 KB."""

MAX_STEPS = 100
"""Named steps that one reply stores. A worker that takes over reads all of them."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

_REPORTED: ContextVar[list[Usage] | None] = ContextVar("reported", default=None)
"""The usage that was reported inside the step that runs."""

Value = TypeVar("Value")


class WrongStep(ValueError):
    """A step that cannot be stored. The text says what to change, and quotes nothing that a user wrote."""


class NamedSteps:
    """The named steps of one attempt, in the agent's loop.

    `fail` ends the agent with what it is given. `is_stopped` says that nobody waits for the agent any more. `count`
    counts threads that are left behind.
    """

    def __init__(
        self,
        store: Store,
        attempt: Attempt,
        handing: Handing,
        runtime: Runtime,
        fail: Callable[[Exception], None],
        is_stopped: Callable[[], bool],
        count: Callable[[int], int],
    ) -> None:
        self._store = store
        self._attempt = attempt
        self._handing = handing
        self._runtime = runtime
        self._fail = fail
        self._is_stopped = is_stopped
        self._count = count
        self._kept = {(step.name, step.number): step for step in attempt.journal.named}
        self._begun: Counter[str] = Counter()
        self._stored = attempt.turn.steps
        self._renewed_at = attempt.began
        # One write at a time: each one counts the steps of the turn.
        self._writing = runtime.condition()

    async def run(self, name: str, function: Callable[[], Any]) -> Any:
        """Return the stored result of a step, or make the step and store its result."""
        if not _NAME.fullmatch(name):
            raise WrongStep(f"{name!r:.80} cannot be the name of a step; use a to z, 0 to 9, _ and -, 64 at most")
        self._begun[name] += 1
        number = self._begun[name]
        if kept := self._kept.get((name, number)):
            return json.loads(kept.result)
        await self._apart(self._begin)
        if self._is_stopped():
            raise asyncio.CancelledError  # also for an agent that has ignored its cancellation
        began = self._runtime.monotonic()
        reported: list[Usage] = []
        inside = _REPORTED.set(reported)
        try:
            value = await self._made(function)
        finally:
            _REPORTED.reset(inside)
        result = _as_json(name, value)
        step = NamedStep(name, number, self._attempt.turn.attempt, result, total_usage(reported))
        await self._apart(partial(self._keep, step))
        seconds = round(self._runtime.monotonic() - began, 3)
        logger.info("named_step_stored", step=name, number=number, seconds=seconds, bytes=len(result.encode()))
        # What a worker that takes over gets, and not what the function returned: a tuple is a list from the beginning.
        return json.loads(result)

    def _begin(self) -> None:
        """Raise what must end the agent before its next step begins."""
        if self._stored >= MAX_STEPS:
            raise WrongStep(f"the reply has more than {MAX_STEPS} steps; put several things into one")
        if self._handing.is_due(self._attempt):
            raise HandOnDue
        # This worker may have stood still for long, and have lost its turn without knowing it.
        with self._writing:
            now = self._runtime.monotonic()
            if now - self._renewed_at > lifecycle.RENEWAL.total_seconds():
                attempt = self._attempt
                if lifecycle.renew(self._store, attempt.chat, attempt.turn, self._runtime.now())[0] is None:
                    raise Lost
                self._renewed_at = now

    def _keep(self, step: NamedStep) -> None:
        attempt = self._attempt
        with self._writing:
            now, count = self._runtime.monotonic(), self._stored + 1
            if not steps.store_named(self._store, attempt.chat, attempt.turn, step, count, self._runtime.now()):
                raise Lost
            self._renewed_at, self._stored = now, count
            attempt.journal.progressed = True

    async def _made(self, function: Callable[[], Any]) -> Any:
        if inspect.iscoroutinefunction(inspect.unwrap(_inner(function))):
            return await function()
        value = await apart(self._runtime, function, self._count)
        return await value if inspect.isawaitable(value) else value

    async def _apart(self, work: Callable[[], None]) -> None:
        """Do our own work for a step. What it raises is not the agent's to handle: it ends the agent."""
        try:
            await apart(self._runtime, work)
        except WrongStep:
            raise
        except Exception as failure:
            self._fail(failure)
            raise asyncio.CancelledError from None


def note(usage: Usage) -> None:
    """Note a usage in the step that runs, if there is one."""
    if (reported := _REPORTED.get()) is not None:
        reported.append(usage)


class _Thread:
    """A thread that may be left behind. It counts until it ends."""

    def __init__(self, runtime: Runtime, count: Callable[[int], int]) -> None:
        self._changing = runtime.condition()
        self._count = count
        self._is_over = self._is_left_behind = False

    def leave(self) -> None:
        """Note that nobody waits for it any more."""
        with self._changing:
            if not self._is_over:
                self._is_left_behind = True
                self._count(1)

    def end(self) -> None:
        """Note that it has ended."""
        with self._changing:
            self._is_over = True
            if self._is_left_behind:
                self._count(-1)


async def apart(runtime: Runtime, work: Callable[[], Value], count: Callable[[int], int] = lambda more: 0) -> Value:
    """Do something in a thread of its own, and return or raise what it does.

    A cancellation leaves the thread behind: `count` counts it until it ends.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Callable[[], Value]] = loop.create_future()
    thread = _Thread(runtime, count)

    def settle(outcome: Callable[[], Value]) -> None:
        if not future.done():
            future.set_result(outcome)

    def run() -> None:
        outcome = outcome_of(work)
        thread.end()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, outcome)

    runtime.start(run, "step of an agent")
    try:
        outcome = await future
    except asyncio.CancelledError:
        thread.leave()
        raise
    return outcome()


def _inner(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    return function


def _as_json(name: str, value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except UnicodeEncodeError:
        # Half of a surrogate pair.
        size = len(text := json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise WrongStep(
            f"step {name}: its result, of the type {type(value).__name__}, is no JSON; return texts, numbers, lists"
            " and dictionaries of them, or None"
        ) from None
    if size > MAX_RESULT_BYTES:
        raise WrongStep(f"step {name}: its result has {size} bytes of JSON; return {MAX_RESULT_BYTES} at most")
    return text
