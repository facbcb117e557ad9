"""Frames per second of each connection, counted in memory, so that a refused frame costs no request to the database.

Each environment of the function counts separately, so K environments let K times the limit through. The throttle of the
stage limits all connections together.
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
"""A connection may save up the frames of this time, and send them at once."""

TOLERANCE_SECONDS = 10
"""A connection is closed after as many refused frames as it may send in this time."""

MAX_CONNECTIONS = 10_000
"""The connections that an environment remembers, the latest. A forgotten one begins with a full bucket."""


class FrameVerdict(Enum):
    """The answer to a frame."""

    PASS = "answer it"  # noqa: S105 - no password
    REFUSE = "refuse it, and tell the client"
    DROP = "do nothing: the client was told a moment ago"
    CLOSE = "close the connection"


@dataclass(frozen=True, slots=True)
class BucketState:
    """The state of a connection, in microseconds: its bucket is full at `full_at`, its client was told at `told_at`.

    Refused frames take permits too, so a client that does not slow down is not heard.
    """

    full_at: int = 0
    told_at: int | None = None
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on a frame. If it is refused, the next one passes after `retry_after` seconds."""

    verdict: FrameVerdict
    retry_after: int = 0


def decide(state: BucketState, bucket: Bucket, tolerance: int, now: int) -> tuple[BucketState, Decision]:
    """Decide on a frame that comes at `now`. `tolerance` is the number of refused frames before the close."""
    if state.closed:
        return state, Decision(FrameVerdict.DROP)
    if state.full_at > now + (bucket.size + tolerance + 1) * bucket.interval:
        # No number of frames leads here: the clock was set back. Begin again, or nothing would pass for that time.
        state = BucketState()
    wait = bucket.wait(state.full_at, now)
    after = replace(state, full_at=bucket.take(state.full_at, now))
    if not wait:
        return after, Decision(FrameVerdict.PASS)
    if wait > tolerance * bucket.interval:
        return replace(after, closed=True), Decision(FrameVerdict.CLOSE)
    if state.told_at is not None and 0 <= now - state.told_at < SECOND:
        return after, Decision(FrameVerdict.DROP)
    return replace(after, told_at=now), Decision(FrameVerdict.REFUSE, ceil((wait + bucket.interval) / SECOND))


class FrameRateLimiter:
    """The counter of one environment. With 0 `per_second` everything passes.

    Safe from any thread, because the emulator can run handlers inline. It uses the wall clock: a monotonic one may
    stand still while Lambda has the environment frozen.
    """

    def __init__(self, per_second: int, runtime: Runtime) -> None:
        self._per_second = per_second
        self._bucket = Bucket.of(per_second * BURST_SECONDS, per_second, SECOND) if per_second else None
        self._runtime = runtime
        self._lock = Lock()
        self._states: OrderedDict[str, BucketState] = OrderedDict()

    def decide(self, connection_id: str) -> Decision:
        """Count a frame of a connection, and decide on it."""
        if self._bucket is None:
            return Decision(FrameVerdict.PASS)
        with self._lock:
            # Taken out and put back at the end: the first one is always the one that was silent for the longest time.
            state = self._states.pop(connection_id, BucketState())
            now = microseconds(self._runtime.now())
            tolerance = self._per_second * TOLERANCE_SECONDS
            self._states[connection_id], decision = decide(state, self._bucket, tolerance, now)
            if len(self._states) > MAX_CONNECTIONS:
                self._states.popitem(last=False)
        return decision

    def refusal(self, retry_after: int) -> Refused:
        """Return the refusal that a client gets which is too fast."""
        return refusal(f"No more than {self._per_second} frames a second", retry_after)
