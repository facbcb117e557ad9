"""Hooks of assistants, as the worker runs them: each in a thread of its own, and not for longer than its time.

A hook is the developer's code. Whatever it does, the turn comes to its end, and no text is used that was not checked.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from handlers.chat.assistants import Refusal
from handlers.chat.concurrency import Runtime, outcome_of
from handlers.chat.log import logger
from handlers.chat.replies.calls import place_of

HOOK_SECONDS = 4.0
"""The time that a hook has for one text, for all earlier texts together, and the function that makes instructions.

Before the model is asked, nobody renews the lease of the turn. All three together take less than it lasts."""

MAX_LEFT_BEHIND = 64
"""Threads of hooks that did not end in time, in one environment. With more of them every hook fails at once."""


class HookFailed(Exception):
    """A hook has raised something else than a refusal, was too slow, or has returned what cannot be used."""


@dataclass(eq=False, slots=True)
class _Run:
    """A function that runs. `outcome` returns or raises what it did, None until it is over."""

    outcome: Callable[[], Any] | None = None
    given_up: bool = False
    stop: Callable[[], object] = field(default=lambda: None)


@dataclass(frozen=True, slots=True)
class Hooked:
    """A function of an assistant's file. `hook` is its name in the log.

    `checked` returns what it has returned, or raises an exception if that cannot be used.
    """

    hook: str
    assistant: str
    function: Callable[..., Any]
    checked: Callable[[Any], str]


class Hooks:
    """The runner of hooks in one environment."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._changed = runtime.condition()
        self._left_behind = 0

    def run(self, hooked: Hooked, *given: Any, seconds: float) -> str:
        """Return the text that a function returns, which may be a coroutine function. Raises `Refusal`, `HookFailed`.

        A failure is logged with its place and without its text, which may quote a message.
        """
        try:
            return hooked.checked(self._outcome(hooked.function, given, seconds))
        except Refusal:
            raise
        except BaseException as failure:
            place = place_of(hooked.function, failure)
            logger.error(
                "hook_failed", hook=hooked.hook, assistant=hooked.assistant, error=type(failure).__name__, place=place
            )
            logger.debug("hook_failed_with", exc_info=failure)
            raise HookFailed(hooked.hook) from None

    def _outcome(self, function: Callable[..., Any], given: tuple[Any, ...], seconds: float) -> Any:
        run = _Run()
        with self._changed:
            if self._left_behind >= MAX_LEFT_BEHIND:
                raise RuntimeError("too many hooks have not ended")
        self._runtime.start(lambda: self._work(run, function, given), "hook")
        with self._changed:
            if not self._changed.wait_for(lambda: run.outcome is not None, seconds):
                run.given_up = True
                self._left_behind += 1
        if run.outcome is None:
            with suppress(RuntimeError):  # the loop of the coroutine is closed
                run.stop()
            raise TimeoutError
        return run.outcome()

    def _work(self, run: _Run, function: Callable[..., Any], given: tuple[Any, ...]) -> None:
        def call() -> Any:
            value = function(*given)
            return asyncio.run(self._await(run, value)) if inspect.isawaitable(value) else value

        outcome = outcome_of(call)
        with self._changed:
            run.outcome = outcome
            self._left_behind -= run.given_up
            self._changed.notify_all()

    async def _await(self, run: _Run, value: Awaitable[Any]) -> Any:
        if (task := asyncio.current_task()) is not None:
            run.stop = partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel)
        return await value
