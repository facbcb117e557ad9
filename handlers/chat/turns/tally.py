"""Tally: what the handling of one frame of a client uses of AWS, for the cost of the turn that it begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from handlers.chat.concurrency import Runtime
from handlers.chat.cost import Meter, Units, Use, gb_seconds, metered
from handlers.chat.turns.actions import Action, Begin, FanOut, Generate, Post

Perform = Callable[[Action], None]

_NOTE = Use(units=Units(write=1.0), gb_seconds=0.0)
"""The note in the turn that the message is acknowledged."""


class Tally:
    """A count from the moment at which the function began with a frame.

    `meter` counts the requests to DynamoDB. `memory` is the function's, in GB, None if it is not known. `asked_at` is
    the Unix time, in milliseconds, at which API Gateway got the frame, None if it is not known.
    """

    def __init__(self, meter: Meter, memory: float | None, asked_at: int | None, runtime: Runtime) -> None:
        self._meter = meter
        self._memory = memory
        self._asked_at = asked_at
        self._runtime = runtime
        self._began = runtime.monotonic()
        self._frames = 1  # the client's own, which AWS bills too

    def count(self, action: Action) -> Action:
        """Count an action that is to be carried out now, and return it. A worker is told of the use until now."""
        match action:
            case Post():
                self._frames += 1
            case FanOut():
                self._frames += len(action.frames) * len(action.connections)
            case Generate():
                return replace(action, handover=action.handover.after(self._use(), self._asked_at))
            case Begin():
                # What is done beside the Invoke belongs to the turn too: the posts, and the write after them.
                self._frames += 1 + len(action.others)
                use = self._use() + _NOTE
                return replace(action, handover=action.handover.after(use, self._asked_at))
        return action

    def _use(self) -> Use:
        time = gb_seconds(self._memory, self._runtime.monotonic() - self._began)
        return Use(self._frames, self._meter.units, 1, time)


@contextmanager
def tallied(perform: Perform, memory: float | None, asked_at: int | None, runtime: Runtime) -> Iterator[Perform]:
    """Yield a function that carries out actions by `perform`, and counts what the frame uses from here on."""
    with metered() as meter:
        tally = Tally(meter, memory, asked_at, runtime)
        yield lambda action: perform(tally.count(action))
