"""Monitor of a turn, while its worker makes the reply: cancelled or lost, renewed, and joined by new subscribers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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


class StopReason(Enum):
    """The reason why a reply ends before its model does."""

    CANCELLED = "a client cancelled it"
    LOST = "the turn is no longer this worker's"
    OUT_OF_TIME = "the function's own time is nearly over"


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
            return bool(self._changed.wait_for(lambda: self._over, POLL_SECONDS))

    def _poll(self) -> StopReason | None:
        if self._remaining() <= self._reserve_seconds:
            return StopReason.OUT_OF_TIME
        try:
            return self._check(self._store.chats.get(self._chat.user_id, self._chat.chat_id))
        except StoreError:
            # The failure may pass. Until the lease runs out no other worker may have the turn, so go on until then.
            logger.exception("turn_poll_failed")
            return StopReason.LOST if self._turn.lease_until <= self._runtime.now() else None

    def _check(self, chat: Chat | None) -> StopReason | None:
        match lifecycle.check_lease(chat, self._turn):
            case LeaseCheck.LOST:
                return StopReason.LOST
            case LeaseCheck.CANCELLED:
                return StopReason.CANCELLED
            case LeaseCheck.HELD if chat is not None:
                self._relay.follow(chat.subscribers)
        return self._renew() if lifecycle.renewal_due(self._turn, self._runtime.now()) else None

    def _renew(self) -> StopReason | None:
        lease_until = self._runtime.now() + lifecycle.LEASE
        if not self._store.turns.extend(self._chat.user_id, self._chat.chat_id, self._turn, lease_until):
            return StopReason.LOST
        self._turn = replace(self._turn, lease_until=lease_until)
        return None
