"""Frames per second of each connection, counted in memory: what is refused here costs no request to the database.

Each environment of the function counts for itself, so K of them let K times as many frames pass. What goes beyond
that, over all connections together, is the stage's own throttle's.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from enum import Enum
from math import ceil
from threading import Lock

from handlers.chat.concurrency import Runtime
from handlers.chat.errors import Refused
from handlers.chat.limits.policy import SECOND, Bucket, microseconds, refusal

BURST_SECONDS = 5
"""For how many seconds' worth of frames a connection may save up."""

PATIENCE_SECONDS = 10
"""How many seconds' worth of refused frames a connection may send before it is closed."""

MOST_CONNECTIONS = 10_000
"""How many are remembered, the latest. Whoever is forgotten begins with a full bucket."""


class Verdict(Enum):
    """What to do about a frame."""

    PASS = "answer it"  # noqa: S105 - no password
    REFUSE = "say that it is one too many"
    DROP = "do nothing: the connection was told, a moment ago"
    CLOSE = "close the connection"


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a connection's frames come: when its bucket is full again, when it was told last, whether it is closed.

    Refused frames take tokens too, so whoever does not slow down is not heard.
    """

    full_at: int = 0
    told_at: int | None = None
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """What to do about a frame; where it is refused, how many seconds later one may pass again."""

    verdict: Verdict
    retry_after: int = 0


def judge(pace: Pace, bucket: Bucket, patience: int, now: int) -> tuple[Pace, Judgement]:
    """Decide on a frame that comes at `now`. `patience` is how many refused ones a connection may send."""
    if pace.closed:
        return pace, Judgement(Verdict.DROP)
    if pace.full_at > now + (bucket.size + patience + 1) * bucket.interval:
        pace = Pace()  # the clock was put back
    wait = bucket.wait(pace.full_at, now)
    after = replace(pace, full_at=bucket.take(pace.full_at, now))
    if not wait:
        return after, Judgement(Verdict.PASS)
    if wait > patience * bucket.interval:
        return replace(after, closed=True), Judgement(Verdict.CLOSE)
    if pace.told_at is not None and 0 <= now - pace.told_at < SECOND:
        return after, Judgement(Verdict.DROP)
    return replace(after, told_at=now), Judgement(Verdict.REFUSE, ceil((wait + bucket.interval) / SECOND))


class Floods:
    """Counts the frames of this environment's connections. 0 `per_second` lets everything pass.

    Safe from any thread: the emulator can run handlers inline. The clock is the wall's: a monotonic one may stand
    still while Lambda has the environment frozen.
    """

    def __init__(self, per_second: int, runtime: Runtime) -> None:
        self._per_second = per_second
        self._bucket = Bucket.of(per_second * BURST_SECONDS, per_second, SECOND) if per_second else None
        self._runtime = runtime
        self._lock = Lock()
        self._paces: OrderedDict[str, Pace] = OrderedDict()

    def judge(self, connection_id: str) -> Judgement:
        """Count a frame of a connection, and decide on it."""
        if self._bucket is None:
            return Judgement(Verdict.PASS)
        with self._lock:
            pace = self._paces.pop(connection_id, Pace())
            now = microseconds(self._runtime.now())
            self._paces[connection_id], judgement = judge(pace, self._bucket, self._per_second * PATIENCE_SECONDS, now)
            if len(self._paces) > MOST_CONNECTIONS:
                self._paces.popitem(last=False)
        return judgement

    def refusal(self, retry_after: int) -> Refused:
        """Return what a connection is told that is too fast."""
        return refusal(f"No more than {self._per_second} frames a second", retry_after)
