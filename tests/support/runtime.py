"""A runtime whose clock, ids and pauses a test chooses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from handlers.chat.concurrency import Runtime

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class FakeRuntime(Runtime):
    """A runtime whose parts a test may replace. The other parts are real. `now` is a moment or a function."""

    def __init__(
        self,
        now: datetime | Callable[[], datetime] = NOON,
        new_id: Callable[[], str] | None = None,
        sleep: Callable[[float], None] | None = None,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        self.now = now if callable(now) else lambda: now  # type: ignore[method-assign]
        if new_id is not None:
            self.new_id = new_id  # type: ignore[method-assign]
        if sleep is not None:
            self.sleep = sleep  # type: ignore[method-assign]
        if monotonic is not None:
            self.monotonic = monotonic  # type: ignore[method-assign]
