"""Hold of a reply, until the message that it answers is acknowledged: nothing of the reply may come before.

The worker is invoked while `default` still posts `user_message`. When its posts have ended, `default` notes that in the
turn. A clock is no such note: it may be wrong, and a post may take as long as it likes.
"""

from __future__ import annotations

from types import TracebackType

from handlers.chat.concurrency import Runtime
from handlers.chat.log import logger
from handlers.chat.records import Chat
from handlers.chat.replies.attempt import Attempt
from handlers.chat.store import Store, StoreError
from handlers.chat.turns import lifecycle
from handlers.chat.turns.lifecycle import LeaseCheck

LOOK_SECONDS = 0.05
"""The time to the first look at the chat. Mostly the claim has shown the note already, or one look is enough."""

LOOKS_PER_AGE = 10
"""From then on, the next look is after a tenth of the time that has passed."""

HOLD_SECONDS = 30.0
"""The time from the beginning of a worker after which `default` cannot be posting any more.

`default` begins before its worker, and Lambda ends it after 29 s (`Timeout` in the template). A second is left for a
post that is on its way by then. This is counted on the worker's own clock, so it does not matter whether clocks agree.
"""


class Hold:
    """Holds the relay of an attempt, in a thread of its own, for `HOLD_SECONDS` from its beginning at most.

    If the turn was acknowledged when it was claimed, there is nothing to wait for. At most half of the time that the
    function still has is spent here.
    """

    def __init__(self, store: Store, attempt: Attempt, runtime: Runtime) -> None:
        self._store = store
        self._attempt = attempt
        self._turn = attempt.turn
        self._relay = attempt.relay
        self._runtime = runtime
        self._changed = runtime.condition()
        self._over = False

    def __enter__(self) -> Hold:
        if self._turn.acknowledging:
            self._relay.hold()
            now = self._runtime.monotonic()
            end = min(self._attempt.began + HOLD_SECONDS, now + self._attempt.remaining() / 2)
            self._runtime.start(lambda: self._run(now, end), "hold")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _run(self, since: float, end: float) -> None:
        while (now := self._runtime.monotonic()) < end:
            if self._is_over(min(max(LOOK_SECONDS, (now - since) / LOOKS_PER_AGE), end - now)) or self._look():
                return
        logger.warning("acknowledgement_overdue")
        self._relay.release()

    def _is_over(self, pause: float) -> bool:
        """Wait for the next look. Returns True if there is to be none."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: self._over, pause))

    def _look(self) -> bool:
        """Look at the turn. Returns True if there is nothing more to wait for."""
        try:
            chat = self._renewed() if lifecycle.renewal_due(self._turn, self._runtime.now()) else self._watched()
        except StoreError:
            logger.exception("acknowledgement_not_read")
            return False
        if chat is None or chat.turn is None or lifecycle.check_lease(chat, self._turn) is LeaseCheck.LOST:
            self._relay.abandon()  # not released: another worker may hold its own relay for the same message
            return True
        if not chat.turn.acknowledging:
            self._relay.release()
        return not chat.turn.acknowledging

    def _watched(self) -> Chat | None:
        chat = self._attempt.chat
        return self._store.chats.watch(chat.user_id, chat.chat_id, certain=True)

    def _renewed(self) -> Chat | None:
        """Renew the lease. Its monitor does so too, but only while the model answers."""
        chat, self._turn = lifecycle.renew(self._store, self._attempt.chat, self._turn, self._runtime.now())
        return chat
