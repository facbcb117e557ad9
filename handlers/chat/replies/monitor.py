"""Monitor of a turn, while its worker makes the reply: cancelled or lost, renewed, and joined by new subscribers."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from types import TracebackType

from handlers.chat.concurrency import Runtime
from handlers.chat.log import logger
from handlers.chat.records import Chat, Turn
from handlers.chat.replies.relay import POLL_SECONDS, Relay
from handlers.chat.store import Store, StoreError
from handlers.chat.turns import lifecycle
from handlers.chat.turns.lifecycle import LeaseCheck

RESERVE_SECONDS = 15.0
"""The part of a function's time that is kept for the seal and the announcement of the reply."""


YOUNG_SECONDS = 1.0
"""The age of a reply up to which somebody who reads it may change their mind at once."""

YOUNG_POLL_SECONDS = 0.25
"""The time between two looks at the chat of a young reply that somebody reads."""

CERTAIN_SECONDS = 2.0
"""The longest time between two looks that see every write before them: reads of DynamoDB that are strongly consistent,
and renewals of the lease. Those between cost half. A connection that leaves the chat gets no frame of it after that
time and the one that a look and a post take (`turns.join.LEAVING_SECONDS`)."""


class StopReason(Enum):
    """The reason why a reply ends before its model does."""

    CANCELLED = "a client cancelled it"
    LOST = "the turn is no longer this worker's"
    OUT_OF_TIME = "the function's own time is nearly over"


def poll_pause(age: float, *, heard: bool) -> float:
    """Return the time to the next look at the chat of a reply of this age. `heard` says that somebody reads it."""
    return YOUNG_POLL_SECONDS if heard and age < YOUNG_SECONDS else POLL_SECONDS


def certainty_due(since: float, pause: float) -> bool:
    """Return True if the next look would come too late to be the certain one. `since` is the time from the last."""
    return since + pause > CERTAIN_SECONDS


class TurnMonitor:
    """Polls a turn in a thread of its own, because a read of the database must not delay a token.

    `stop` is called once, after `stop_reason` is set. `remaining` returns the seconds that the function still has.
    """

    def __init__(
        self,
        store: Store,
        chat: Chat,
        turn: Turn,
        relay: Relay,
        runtime: Runtime,
        *,
        stop: Callable[[], None],
        remaining: Callable[[], float],
    ) -> None:
        self.stop_reason: StopReason | None = None
        self._store = store
        self._chat = chat
        self._turn = turn
        self._relay = relay
        self._runtime = runtime
        self._stop = stop
        self._remaining = remaining
        self._reserve_seconds = min(RESERVE_SECONDS, remaining() / 2)
        self._changed = runtime.condition()
        self._over = False
        self._began = runtime.monotonic()
        # The claim saw the chat, but the prompt was read since then: the first look is a certain one.
        self._certain_at = -math.inf
        self._subscribers = chat.subscribers

    def __enter__(self) -> TurnMonitor:
        self._runtime.start(self._run, "turn monitor")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _run(self) -> None:
        while not self._is_over() and self.stop_reason is None:
            reason = self._poll()
            if reason is not None:
                logger.info("reply_stopped", reason=reason.name.lower())
                # First the reason, then the stop: the worker reads the reason as soon as its model has stopped.
                self.stop_reason = reason
                self._stop()

    def _is_over(self) -> bool:
        with self._changed:
            return bool(self._changed.wait_for(lambda: self._over, self._pause()))

    def _pause(self) -> float:
        return poll_pause(self._runtime.monotonic() - self._began, heard=bool(self._subscribers))

    def _poll(self) -> StopReason | None:
        if self._remaining() <= self._reserve_seconds:
            return StopReason.OUT_OF_TIME
        try:
            return self._look()
        except StoreError:
            # The failure may pass. Until the lease runs out no other worker may have the turn, so go on until then.
            logger.exception("turn_poll_failed")
            return StopReason.LOST if self._turn.lease_until <= self._runtime.now() else None

    def _look(self) -> StopReason | None:
        began = self._runtime.monotonic()
        if lifecycle.renewal_due(self._turn, self._runtime.now()):
            return self._heed(self._renewed(), began)
        # A replica that is late shows an older chat, perhaps one from before this worker's claim. So a cheap look is
        # never acted on: whatever it shows that is not known yet is looked at again, with certainty.
        if not certainty_due(began - self._certain_at, self._pause()) and self._is_known(self._watch(certain=False)):
            return None
        return self._heed(self._watch(certain=True), began)

    def _watch(self, *, certain: bool) -> Chat | None:
        return self._store.chats.watch(self._chat.user_id, self._chat.chat_id, certain=certain)

    def _is_known(self, chat: Chat | None) -> bool:
        held = lifecycle.check_lease(chat, self._turn) is LeaseCheck.HELD
        return held and chat is not None and chat.subscribers == self._subscribers

    def _heed(self, chat: Chat | None, began: float) -> StopReason | None:
        """Act on the chat as a look saw it that began at a moment, and that saw every write before it."""
        self._certain_at = began
        match lifecycle.check_lease(chat, self._turn):
            case LeaseCheck.LOST:
                return StopReason.LOST
            case LeaseCheck.CANCELLED:
                return StopReason.CANCELLED
            case LeaseCheck.HELD if chat is not None:
                self._subscribers = chat.subscribers
                self._relay.follow(chat.subscribers)
        return None

    def _renewed(self) -> Chat | None:
        """Renew the lease. Returns the chat as it is then, None if the turn is another worker's."""
        chat, self._turn = lifecycle.renew(self._store, self._chat, self._turn, self._runtime.now())
        return chat
