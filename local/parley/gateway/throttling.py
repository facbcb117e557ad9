"""The throttling settings of a stage: a token bucket for each route that has some."""

from __future__ import annotations

from collections.abc import Callable

from parley.gateway.quotas import ROUTE_RATE, Bucket, Limit
from parley.template.model import Stage


class Throttling:
    """The buckets of one stage. `now` gives the time in seconds."""

    def __init__(self, stage: Stage, now: Callable[[], float]) -> None:
        self._stage = stage
        self._now = now
        self._buckets: dict[str, Bucket] = {}

    def take(self, route_key: str) -> Limit | None:
        """Count a request of a route. Returns the limit that forbids it."""
        throttle = self._stage.route_throttles.get(route_key, self._stage.throttle)
        if throttle is None:
            return None
        if route_key not in self._buckets:
            self._buckets[route_key] = Bucket(throttle.rate, throttle.burst, self._now)
        return None if self._buckets[route_key].take() else ROUTE_RATE
