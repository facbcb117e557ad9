"""Calls of tools: those of one step run side by side, and each one gets a result, whatever its tool does.

A tool is the developer's code. It may raise anything, never return, or end its thread. A thread cannot be ended from
outside: a tool that is out of time is left behind in its thread, and what it returns later is lost.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePath
from typing import Any

from handlers.chat.assistants import Tool, ToolContext, ToolError
from handlers.chat.concurrency import Runtime
from handlers.chat.errors import Refused
from handlers.chat.log import logger
from handlers.chat.records import Result, ToolCall
from handlers.chat.replies import results
from handlers.chat.replies.results import CANCELLED
from handlers.chat.replies.tool_calls import WrongCall
from handlers.chat.replies.toolbox import Toolbox
from handlers.chat.settings import DEFAULT_TOOL_RESULT_BYTES

GRACE_SECONDS = 2.0
"""The time that cancelled calls have to end by themselves."""

MAX_LEFT_BEHIND = 64
"""Threads of tools that were left behind, in one environment. With more of them it runs no tools."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that a model asked for. `id` is our own, which is the same in each attempt at the turn."""

    id: str
    asked: ToolCall


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom calls are made, and how many seconds their function still has."""

    user_id: str
    chat_id: str
    remaining: Callable[[], float]


class Calls:
    """The runner of calls in one environment. `left_behind` is the number of threads that it waits for no longer.

    A result over `result_bytes` is cut, with a mark: its beginning is of use, and the model can ask for less.
    """

    def __init__(self, runtime: Runtime, result_bytes: int = DEFAULT_TOOL_RESULT_BYTES) -> None:
        self.left_behind = 0
        self.result_bytes = result_bytes
        self._runtime = runtime
        self._counting = runtime.condition()

    def run(self, calls: Sequence[Call], toolbox: Toolbox, caller: Caller) -> RunningCalls:
        """Start calls, all at once, and return them. A call that cannot be made has its result at once."""
        running = RunningCalls(self, self._runtime)
        for call in calls:
            try:
                prepared = toolbox.prepare(call.asked.name, call.asked.arguments)
            except WrongCall as wrong:
                running.refuse(call, str(wrong))
                continue
            if self.left_behind >= MAX_LEFT_BEHIND:
                logger.error("tools_left_behind", tool=prepared.tool.name, left_behind=self.left_behind)
                running.refuse(call, "The tool cannot run now: too many earlier calls have not ended.")
                continue
            running.start(call, prepared.tool, prepared.arguments, caller)
        return running

    def count(self, more: int) -> int:
        """Count threads that are left behind, or have ended after all. Returns how many there are."""
        with self._counting:
            self.left_behind += more
            return self.left_behind


@dataclass(eq=False, slots=True)
class _Run:
    """A call that runs. `deadline` is a moment of the monotonic clock. `stop` ends a coroutine, if the tool is one."""

    call: Call
    tool: Tool
    context: ToolContext
    began: float
    deadline: float
    over: bool = False
    stop: Callable[[], object] = field(default=lambda: None)

    def cancel(self) -> None:
        """Tell the tool that nobody waits for it any more."""
        self.context.cancelled.set()
        with suppress(RuntimeError):  # the loop of the coroutine is closed
            self.stop()


class RunningCalls:
    """The calls of one step while they run. Iterate over them once: each comes with its result once it is over."""

    def __init__(self, calls: Calls, runtime: Runtime) -> None:
        self._calls = calls
        self._runtime = runtime
        self._changed = runtime.condition()
        self._open: set[_Run] = set()
        self._ended: list[tuple[Call, Result]] = []
        self._cancelled_until: float | None = None

    def __iter__(self) -> Iterator[tuple[Call, Result]]:
        """Yield each call with its result, until all are over."""
        over = False
        while not over:
            with self._changed:
                while self._open and not self._ended:
                    now = self._runtime.monotonic()
                    if (wait := self._due() - now) > 0:
                        self._changed.wait(wait)
                    else:
                        self._give_up(now)
                ended, self._ended = self._ended, []
                over = not self._open
            yield from ended

    def cancel(self) -> None:
        """Tell all tools that nobody waits for them. They have a moment to end. Safe from any thread."""
        with self._changed:
            if self._cancelled_until is None:
                self._cancelled_until = self._runtime.monotonic() + GRACE_SECONDS
            stopped = list(self._open)
            self._changed.notify_all()
        for run in stopped:
            run.cancel()

    def refuse(self, call: Call, reason: str) -> None:
        """End a call that is not made."""
        logger.info("tool_not_called", tool=call.asked.name[:64], call_id=call.id)
        with self._changed:
            self._ended.append((call, results.error(reason)))

    def start(self, call: Call, tool: Tool, arguments: Mapping[str, Any], caller: Caller) -> None:
        """Start a call in a thread of its own."""
        began = self._runtime.monotonic()
        deadline = began + min(tool.timeout, caller.remaining())

        def remaining() -> float:
            return max(0.0, min(deadline - self._runtime.monotonic(), caller.remaining()))

        context = ToolContext(user_id=caller.user_id, chat_id=caller.chat_id, call_id=call.id, remaining=remaining)
        run = _Run(call, tool, context, began, deadline)
        given = {**arguments, **({name: context} if (name := tool.context_parameter) else {})}
        with self._changed:
            self._open.add(run)
        try:
            self._runtime.start(lambda: self._work(run, given), f"tool {tool.name}")
        except RuntimeError as failure:  # no more threads
            self._end(run, self._failed(run, failure))

    def _work(self, run: _Run, arguments: Mapping[str, Any]) -> None:
        logger.thread_safe_append_keys(tool=run.tool.name, call_id=run.call.id)
        try:
            value = run.tool.function(**arguments)
            if inspect.isawaitable(value):
                # It ends the call itself: the loop's own end may wait for threads of the tool.
                asyncio.run(self._await(run, value))
            else:
                self._end(run, results.returned(value, self._calls.result_bytes))
        except BaseException as failure:  # also `sys.exit`, and what is no Exception at all
            self._end(run, self._failed(run, failure))

    async def _await(self, run: _Run, value: Any) -> None:
        loop = asyncio.get_running_loop()
        if (task := asyncio.current_task()) is not None:
            run.stop = partial(loop.call_soon_threadsafe, task.cancel)
            if run.context.cancelled.is_set():
                task.cancel()
        try:
            result = results.returned(await value, self._calls.result_bytes)
        except asyncio.CancelledError as failure:
            if not run.context.cancelled.is_set():
                raise  # another task of the tool has ended the loop, and `asyncio.run` says with what
            result = self._failed(run, failure)
        except BaseException as failure:
            result = self._failed(run, failure)
        self._end(run, result)

    def _failed(self, run: _Run, failure: BaseException) -> Result:
        if run.context.cancelled.is_set() and isinstance(failure, asyncio.CancelledError):
            return CANCELLED
        if not isinstance(failure, ToolError | Refused):
            # No text of the exception: it may quote what the user wrote. At DEBUG the developer sees it.
            logger.warning("tool_failed", error=type(failure).__name__, place=place_of(run.tool.function, failure))
            logger.debug("tool_failed_with", exc_info=failure)
        return results.raised(failure, self._calls.result_bytes)

    def _end(self, run: _Run, result: Result) -> None:
        if run.over:
            return
        run.over = True
        seconds = round(self._runtime.monotonic() - run.began, 3)
        with self._changed:
            if run not in self._open:
                logger.info("tool_ended_late", seconds=seconds, left_behind=self._calls.count(-1))
                return
            logger.info("tool_ended", state=result.state, seconds=seconds, bytes=len(result.text.encode()))
            self._open.remove(run)
            self._ended.append((run.call, result))
            self._changed.notify_all()

    def _due(self) -> float:
        """Return the moment at which something must happen, if no call ends before."""
        due = min(run.deadline for run in self._open)
        return due if self._cancelled_until is None else min(due, self._cancelled_until)

    def _give_up(self, now: float) -> None:
        """Leave calls behind: those that are out of time, and all after a cancellation."""
        cancelled = self._cancelled_until is not None and self._cancelled_until <= now
        for run in [run for run in self._open if cancelled or run.deadline <= now]:
            self._open.remove(run)
            seconds = round(now - run.began, 1)
            late = results.error("The tool did not end in time.")
            self._ended.append((run.call, CANCELLED if cancelled else late))
            run.cancel()
            logger.warning(
                "tool_left_behind",
                tool=run.tool.name,
                call_id=run.call.id,
                seconds=seconds,
                left_behind=self._calls.count(1),
            )


def place_of(function: object, failure: BaseException) -> str:
    """Return the line in which a function failed: in its own file, if there is one, else the innermost."""
    own = getattr(getattr(function, "__code__", None), "co_filename", None)
    frames = []
    trace = failure.__traceback__
    while trace is not None:
        frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    file, line = next((each for each in reversed(frames) if each[0] == own), frames[-1] if frames else ("", 0))
    return f"{PurePath(file).name}:{line}"
