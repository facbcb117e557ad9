"""HTTP requests of each user in a minute, counted in memory, so that a read costs no write.

Each environment of the function counts separately, so K environments let K times the limit through. The throttle of the
stage limits all users together.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from handlers.chat.concurrency import Runtime
from handlers.chat.limits.policy import microseconds, take_from_minute

MAX_USERS = 10_000
"""The users that an environment remembers, the latest. A forgotten one begins with a full bucket."""


class RequestRateLimiter:
    """The counter of one environment. With 0 `per_minute` every request passes. Safe from any thread."""

    def __init__(self, per_minute: int, runtime: Runtime) -> None:
        self._per_minute = per_minute
        self._runtime = runtime
        self._lock = Lock()
        self._full_at: OrderedDict[str, int] = OrderedDict()

    def use(self, user_id: str) -> None:
        """Count a request of a user. Raises `Refused` with `rate_limited`, and then nothing is counted."""
        if not self._per_minute:
            return
        with self._lock:
            full_at, now = self._full_at.get(user_id, 0), microseconds(self._runtime.now())
            self._full_at[user_id] = take_from_minute(full_at, self._per_minute, "requests", now)
            self._full_at.move_to_end(user_id)
            if len(self._full_at) > MAX_USERS:
                self._full_at.popitem(last=False)
