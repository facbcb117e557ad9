"""What a worker hears of its turn while it makes the reply: that it is cancelled or lost, and who joined the chat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from types import TracebackType

from handlers.chat.concurrency import Runtime
from handlers.chat.log import logger
from handlers.chat.records import Chat, Turn
from handlers.chat.replies.relay import Relay
from handlers.chat.store import Store, StoreError
from handlers.chat.turns import lifecycle
from handlers.chat.turns.lifecycle import LeaseCheck

LOOK_SECONDS = 0.25
"""Between two looks at the chat: half of what a cancellation may take."""

RESERVE_SECONDS = 15.0
"""What is kept of a function's time for sealing and announcing the reply."""


class Ending(Enum):
    """Why a reply ends before its model does."""

    CANCELLED = "a client cancelled it"
    LOST = "the turn is not this worker's any more"
    OUT_OF_TIME = "the function's own time is up"


class Watch:
    """Looks at a turn, in a thread of its own: a read of the database must not hold up a token.

    `end` is called once, when `ending` is known. `remaining` tells how many seconds the function still has.
    """

    def __init__(
        self,
        store: Store,
        chat: Chat,
        turn: Turn,
        relay: Relay,
        *,
        end: Callable[[], None],
        remaining: Callable[[], float],
        runtime: Runtime,
    ) -> None:
        self.ending: Ending | None = None
        self._store = store
        self._chat = chat
        self._turn = turn
        self._relay = relay
        self._end = end
        self._remaining = remaining
        self._reserve = min(RESERVE_SECONDS, remaining() / 2)
        self._runtime = runtime
        self._changed = runtime.condition()
        self._over = False

    def __enter__(self) -> Watch:
        self._runtime.start(self._run, "watch")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _run(self) -> None:
        while not self._is_over() and self.ending is None:
            ending = self._look()
            if ending is not None:
                logger.info("reply ends early", reason=ending.value)
                self.ending = ending
                self._end()

    def _is_over(self) -> bool:
        with self._changed:
            return bool(self._changed.wait_for(lambda: self._over, LOOK_SECONDS))

    def _look(self) -> Ending | None:
        if self._remaining() <= self._reserve:
            return Ending.OUT_OF_TIME
        try:
            return self._judge(self._store.chats.get(self._chat.user_id, self._chat.chat_id))
        except StoreError:
            # Whatever ails the database may pass: until the lease is over nobody else is at the turn.
            logger.exception("turn not seen")
            return Ending.LOST if self._turn.lease_until <= self._runtime.now() else None

    def _judge(self, chat: Chat | None) -> Ending | None:
        match lifecycle.check_lease(chat, self._turn):
            case LeaseCheck.LOST:
                return Ending.LOST
            case LeaseCheck.CANCELLED:
                return Ending.CANCELLED
            case LeaseCheck.HELD if chat is not None:
                self._relay.follow(chat.subscribers)
        return self._renew() if lifecycle.renewal_due(self._turn, self._runtime.now()) else None

    def _renew(self) -> Ending | None:
        lease_until = self._runtime.now() + lifecycle.LEASE
        if not self._store.turns.extend(self._chat.user_id, self._chat.chat_id, self._turn, lease_until):
            return Ending.LOST
        self._turn = replace(self._turn, lease_until=lease_until)
        return None
