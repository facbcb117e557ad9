"""Gathering: the deltas of an answer that come close together are handed over together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from handlers.chat.replies.deltas import Delta
from handlers.chat.settings import Pace


@dataclass(frozen=True, slots=True)
class Gather:
    """The rule for what is gathered: nothing of the first `at_once` deltas, then what comes within `seconds`.

    With 0 `seconds` nothing is gathered.
    """

    seconds: float = 0.0
    at_once: int = 0

    @classmethod
    def of(cls, pace: Pace) -> Gather:
        """Return the rule for a relay with this pace: a frame waits longer for the pace than a delta here."""
        return cls(pace.first / 2, pace.unpaced_frames)


class Gathering:
    """Hands deltas over to another thread, several at a time: each time, that thread is woken up, and the relay's too.

    A delta is handed over at once if the last time was `rule.seconds` ago. Else it goes with the next one that is, or
    alone after half as long again. It belongs to one event loop.
    """

    def __init__(self, rule: Gather, hand_over: Callable[[list[Delta]], None]) -> None:
        self._rule = rule
        self._hand_over = hand_over
        self._loop = asyncio.get_running_loop()
        self._gathered: list[Delta] = []
        self._seen = 0
        self._handed_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, delta: Delta) -> None:
        """Take one more delta."""
        self._gathered.append(delta)
        self._seen += 1
        since = self._loop.time() - self._handed_at
        if self._seen <= self._rule.at_once or since >= self._rule.seconds:
            self.flush()
        elif self._timer is None:
            # Later than the next delta of a fast answer, which then goes along without a timer.
            self._timer = self._loop.call_later(1.5 * self._rule.seconds - since, self.flush)

    def flush(self) -> None:
        """Hand over what is gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered:
            gathered, self._gathered = self._gathered, []
            self._handed_at = self._loop.time()
            self._hand_over(gathered)
