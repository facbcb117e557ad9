"""The answer of an own agent: the developer's function runs in an event loop of its own, and is heard as a model is.

An agent is the developer's code, as a tool is. It may raise anything, never end, or end its thread. It is cancelled
when nobody waits for it any more; one that goes on is left behind in its thread, and what it yields later is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from handlers.chat import assistants
from handlers.chat.assistants import Assistant, Refusal, Turn
from handlers.chat.concurrency import Runtime
from handlers.chat.errors import Misconfigured, ModelFailed
from handlers.chat.log import logger
from handlers.chat.records import FinishReason, Usage
from handlers.chat.replies import agent_deltas, named_steps
from handlers.chat.replies.calls import GRACE_SECONDS, MAX_LEFT_BEHIND, Calls, place_of
from handlers.chat.replies.deltas import Delta

MOST_WAITING = 1_000
"""Deltas that wait to be heard. With more of them the agent waits."""


class AgentAnswer:
    """The answer of one agent, while it comes. Iterate over it once, for its `Delta`s."""

    def __init__(self, assistant: Assistant, runtime: Runtime, calls: Calls, refusal: str) -> None:
        self._assistant = assistant
        self._runtime = runtime
        self._calls = calls
        self._refusal = refusal
        self._changed = runtime.condition()
        self._said: list[Delta] = []
        self._usage = Usage(0, 0)
        self._reason = FinishReason.STOP
        self._failure: Exception | None = None
        self._over = self._is_left_behind = False
        self._stopped_until: float | None = None
        self._turn: Turn | None = None
        self._cancel: Callable[[], object] = lambda: None

    def start(self, turn: Turn) -> None:
        """Start the agent in a thread of its own."""
        self._turn = turn
        if self._calls.left_behind >= MAX_LEFT_BEHIND:
            logger.error("tools_left_behind", left_behind=self._calls.left_behind)
            self._refuse("too many earlier agents and tools have not ended")
            return
        try:
            self._runtime.start(lambda: self._work(turn), f"agent {self._assistant.id}")
        except RuntimeError:
            self._refuse("there are no more threads")

    def _refuse(self, reason: str) -> None:
        self._failure, self._over = ModelFailed(reason, billed=False), True

    def __iter__(self) -> Iterator[Delta]:
        """Yield deltas until the agent has ended, or a moment after it was stopped.

        Raises `ModelFailed` if it has failed, and what a step has met that ends the attempt.
        """
        while said := self._next():
            yield from said
        if self._failure is not None:
            raise self._failure

    def _next(self) -> list[Delta]:
        """Wait for more, and return it. Nothing comes after nothing."""
        with self._changed:
            while not self._said and not self._over:
                left = None if self._stopped_until is None else self._stopped_until - self._runtime.monotonic()
                if left is not None and left <= 0:
                    self._leave_behind()
                    break
                self._changed.wait(left)
            said, self._said = self._said, []
            return said

    def _leave_behind(self) -> None:
        self._is_left_behind = self._over = True
        logger.warning("agent_left_behind", assistant=self._assistant.id, left_behind=self._calls.count(1))

    def stop(self) -> None:
        """Cancel the agent. It has a moment to end. Safe from any thread, and more than once."""
        with self._changed:
            if self._stopped_until is None:
                self._stopped_until = self._runtime.monotonic() + GRACE_SECONDS
            cancel, turn = self._cancel, self._turn
            self._changed.notify_all()
        if turn is not None:
            turn.cancelled.set()
        with suppress(RuntimeError):  # the loop is closed
            cancel()

    def is_stopped(self) -> bool:
        """Return True from the stop on."""
        with self._changed:
            return self._stopped_until is not None

    def close(self) -> None:
        """Stop, and wait a moment until the agent has ended."""
        self.stop()
        while self._next():
            pass

    def fail(self, failure: Exception) -> None:
        """Stop, and let the iteration raise what a step has met. Safe from any thread."""
        with self._changed:
            self._failure = self._failure or failure
        self.stop()

    def show(self, said: object) -> None:
        """Take what the agent says beside what it yields. Safe from any thread. Raises `WrongReply`."""
        self._take(said)

    def report(self, usage: Usage) -> None:
        """Add to the tokens that models have taken. Safe from any thread."""
        named_steps.note(usage)
        with self._changed:
            self._usage += usage
            self._said.append(Delta(usage=self._usage))
            self._changed.notify_all()

    def _work(self, turn: Turn) -> None:
        logger.thread_safe_append_keys(assistant=self._assistant.id)
        try:
            asyncio.run(self._perform(turn))
        except BaseException as failure:  # also `sys.exit` in a task of the agent
            self._end(failure)

    async def _perform(self, turn: Turn) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        with self._changed:
            if task is not None:
                self._cancel = partial(loop.call_soon_threadsafe, task.cancel)
        failure: BaseException | None = None
        try:
            if not self.is_stopped():
                await self._hear(turn)
        except Refusal as refusal:
            said = str(refusal).strip() or self._refusal
            self._take(assistants.Delta(refusal=said, finish_reason=FinishReason.CONTENT_FILTER))
        except asyncio.CancelledError as cancelled:
            if not turn.cancelled.is_set():
                raise  # a task of the agent has ended the loop, and `asyncio.run` says with what
            failure = cancelled
        except BaseException as error:
            failure = error
        # Here, and not after the loop: its own end may wait for threads of the agent.
        self._end(failure)

    async def _hear(self, turn: Turn) -> None:
        said: Any = self._assistant.reply and self._assistant.reply(turn)
        if not hasattr(said, "__aiter__"):
            with suppress(AttributeError):
                said.close()  # a coroutine, which would complain that nobody has awaited it
            raise agent_deltas.WrongReply(f"reply returns a value of the type {type(said).__name__}; let it yield")
        replies = aiter(said)
        try:
            async for each in replies:
                try:
                    go_on = self._take(each)
                except agent_deltas.WrongReply as wrong:
                    # The line that has yielded it is in no stack trace.
                    raise wrong.at(getattr(replies, "ag_frame", None)) from None
                if not go_on:
                    break
                while len(self._said) > MOST_WAITING and self._stopped_until is None:  # noqa: ASYNC110 - a thread ends it
                    await asyncio.sleep(0.01)
        finally:
            if (close := getattr(replies, "aclose", None)) is not None:
                await close()

    def _take(self, said: object) -> bool:
        """Take what the agent has yielded. Returns False if nobody waits for it."""
        delta = agent_deltas.checked(said)
        if delta.usage is not None:
            self.report(delta.usage)
        deltas = list(agent_deltas.heard(delta))
        with self._changed:
            if self._stopped_until is not None:
                return False
            self._reason = FinishReason(delta.finish_reason or self._reason)
            self._said += deltas
            self._changed.notify_all()
        return True

    def _end(self, failure: BaseException | None) -> None:
        with self._changed:
            late, self._is_left_behind = self._is_left_behind, False
            stopped, over, self._over = self._stopped_until is not None, self._over, True
            if not over and not stopped:
                if failure is None:
                    self._said.append(Delta(finish_reason=self._reason))
                else:
                    self._failure = ModelFailed(f"the agent failed: {type(failure).__name__}")
            self._changed.notify_all()
        if late:
            logger.info("agent_ended_late", left_behind=self._calls.count(-1))
        if failure is not None and not (stopped and isinstance(failure, asyncio.CancelledError)):
            self._log(failure)

    def _log(self, failure: BaseException) -> None:
        # No text of exceptions but our own: it may quote what the user wrote. At DEBUG the developer sees it.
        own = isinstance(failure, agent_deltas.WrongReply | named_steps.WrongStep | Misconfigured)
        place = getattr(failure, "place", "") or place_of(self._assistant.reply, failure)
        problem = str(failure) if own else None
        logger.warning("agent_failed", error=type(failure).__name__, place=place, problem=problem)
        logger.debug("agent_failed_with", exc_info=failure)
