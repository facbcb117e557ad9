"""Handing on of a turn to the next invocation, between two steps: a reply may take longer than one function runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from handlers.chat.concurrency import Runtime
from handlers.chat.log import logger
from handlers.chat.replies.attempt import Attempt
from handlers.chat.turns import lifecycle
from handlers.chat.turns.lifecycle import Handover

HANDOVER_SECONDS = 300.0
"""The rest of a function's time at which it begins no other step. A tool may take 240 s."""

MAX_HOPS = 12
"""The most times that a turn is handed on. Lambda stops a function that has invoked itself about 16 times in a row
(docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html)."""


@dataclass(frozen=True, slots=True)
class Handing:
    """The handing on of turns. `invoke` starts the next worker; `memory` is this one's, in GB, if it is known."""

    invoke: Callable[[Handover], None]
    runtime: Runtime
    memory: float | None

    def is_due(self, attempt: Attempt) -> bool:
        """Return True if another invocation is to make the next step. A worker without a step of its own says no."""
        if not attempt.journal.progressed or (attempt.handover.hops or 0) >= MAX_HOPS:
            return False
        remaining = attempt.remaining()
        whole = self.runtime.monotonic() - attempt.began + remaining
        return remaining < min(HANDOVER_SECONDS, whole / 3)

    def hand_on(self, attempt: Attempt) -> None:
        """Start the next worker, which claims the turn while this one still has the lease. Raises botocore's errors."""
        handover = attempt.handover
        use = attempt.use(self.memory, self.runtime.monotonic())
        following = lifecycle.handover_of(attempt.chat, attempt.turn).after(use, None)
        self.invoke(replace(following, hops=(handover.hops or 0) + 1))
        logger.info("turn_handed_on", steps=len(attempt.journal.steps))
