"""Time, ids, chance and concurrency: everything that code takes from the process it runs in, beside I/O.

An entry point builds one `Runtime` and passes it on. A test or a simulation passes its own, in which it decides what
the time is and when it passes.
"""

from __future__ import annotations

import contextvars
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import NoReturn, TypeVar

Here = TypeVar("Here")
Beside = TypeVar("Beside")


class Runtime:
    """The real clock, real ids and real threads."""

    def now(self) -> datetime:
        """Return the moment, in UTC. It goes on while Lambda has the process frozen, and it may be set back."""
        return datetime.now(UTC)

    def new_id(self) -> str:
        """Return a new UUIDv7, as `ids.new_id` does."""
        # Not at the top: a function that makes no ids does not load the library that makes them.
        from handlers.chat import ids

        return ids.new_id()

    def monotonic(self) -> float:
        """Return the seconds of a clock that never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        time.sleep(seconds)

    def jitter(self) -> float:
        """Return a number from 0.5 to 1, to part what would otherwise happen at the same time."""
        return random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret

    def start(self, work: Callable[[], None], name: str) -> threading.Thread:
        """Run `work` in a thread that does not keep the process alive, with the caller's context variables."""
        context = contextvars.copy_context()
        thread = threading.Thread(target=lambda: context.run(work), name=name, daemon=True)
        thread.start()
        return thread

    def condition(self) -> threading.Condition:
        """Return a new condition with a lock of its own."""
        return threading.Condition()


def beside(runtime: Runtime, work: Callable[[], Beside]) -> Callable[[], Beside]:
    """Begin `work` in a thread of its own. The function that is returned waits for its end, and has its outcome.

    It must be called before the function's invocation ends: a thread that still ran would be frozen with the process.
    """
    changed = runtime.condition()
    outcome: list[Callable[[], Beside]] = []

    def run() -> None:
        result = outcome_of(work)
        with changed:
            outcome.append(result)
            changed.notify_all()

    def wait() -> Beside:
        with changed:
            changed.wait_for(lambda: bool(outcome))
        return outcome[0]()

    runtime.start(run, "beside")
    return wait


def outcome_of(work: Callable[[], Beside]) -> Callable[[], Beside]:
    """Do something now, whatever it raises. Return a function that returns what it has returned, or raises that."""
    try:
        return partial(_given, work())
    except BaseException as error:  # also `sys.exit`: the thread that waits has to hear of it
        return partial(_throw, error)


def _throw(error: BaseException) -> NoReturn:
    raise error


def _given(value: Beside) -> Beside:
    return value


def side_by_side(runtime: Runtime, here: Callable[[], Here], there: Callable[[], Beside]) -> tuple[Here, Beside]:
    """Do two things at the same time, the second one in a thread of its own, and return both results.

    Waits for both, also if one of them fails. If both fail, raises what `here` raised.
    """
    wait = beside(runtime, there)
    try:
        result = here()
    except BaseException:
        with suppress(Exception):
            wait()
        raise
    return result, wait()
