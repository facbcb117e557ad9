"""Making of the calls of a step: side by side, and each result is stored before it is used.

Calls that need the user's approval come last: the turn waits for the answers, with no worker, if they are not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from handlers.chat.concurrency import Runtime
from handlers.chat.log import logger
from handlers.chat.records import CallState, Chat, Result, StepCall
from handlers.chat.replies.attempt import Attempt
from handlers.chat.replies.calls import Call, Caller, Calls
from handlers.chat.replies.toolbox import Toolbox
from handlers.chat.replies.work import Cancelled, HandedOn, Lost, Work
from handlers.chat.store import Store
from handlers.chat.turns import approvals, lifecycle, steps
from handlers.chat.turns.approvals import Wait


@dataclass(frozen=True, slots=True)
class Making:
    """The making of calls. `toolboxes` are those of the assistants whose tools can be used, by their ids.

    `time_to_approve` is the time that a user has to approve a call.
    """

    store: Store
    runtime: Runtime
    calls: Calls
    toolboxes: Mapping[str, Toolbox]
    time_to_approve: timedelta

    def make(self, attempt: Attempt, box: Toolbox, work: Work, since: float | None) -> None:
        """Make the calls of the last step that have no result, as far as the work is not stopped.

        `since` is a moment before the last write that has renewed the lease, None if that is not known. Raises `Lost`,
        `Cancelled`, and `HandedOn` if the turn waits for its user.
        """
        while not work.is_stopped and _open(attempt):
            self._keep_lease(attempt, since)
            self._end_what_nobody_may_approve(attempt, box)
            self._run(attempt, box, work, [place for place, call in _open(attempt).items() if not _asks(call, box)])
            if not any(_asks(call, box) for call in _open(attempt).values()):
                return
            self._wait(attempt, work)
            since = None

    def _run(self, attempt: Attempt, box: Toolbox, work: Work, ready: Sequence[int]) -> None:
        """Make these calls of the last step, all at once."""
        step = attempt.journal.steps[-1]
        places = {steps.call_id(attempt.turn, step.number, place): place for place in ready}
        caller = Caller(attempt.chat.user_id, attempt.chat.chat_id, attempt.remaining)
        made = [Call(call_id, step.calls[place].asked) for call_id, place in places.items()]
        running = self.calls.run(made, box, caller)
        try:
            with work.under_way(running.cancel):
                for call, result in running:
                    # A call that was cancelled may be made by another worker right now, so it gets no result here.
                    if result.state is not CallState.CANCELLED:
                        self._store(attempt, places[call.id], result)
        finally:
            running.cancel()

    def _keep_lease(self, attempt: Attempt, since: float | None) -> None:
        """Renew the lease if it may be old: the worker may have stood still since then, and have lost its turn."""
        if since is None or self.runtime.monotonic() - since > lifecycle.RENEWAL.total_seconds():
            renewed, _ = lifecycle.renew(self.store, attempt.chat, attempt.turn, self.runtime.now())
            if renewed is None:
                raise Lost

    def _store(self, attempt: Attempt, place: int, result: Result) -> None:
        number = attempt.journal.steps[-1].number
        kept = steps.store_result(self.store, attempt.chat, attempt.turn, number, place, result)
        if kept is None:
            raise Lost
        attempt.journal.finish(place, kept)

    def _end_what_nobody_may_approve(self, attempt: Attempt, box: Toolbox) -> None:
        """Store a result for each call whose time to be approved is over."""
        number, turn = attempt.journal.steps[-1].number, attempt.journal.turn
        for place, call in _open(attempt).items():
            if _asks(call, box) and steps.call_id(turn, number, place) not in turn.awaits:
                self._store(attempt, place, approvals.NOT_ANSWERED)

    def _wait(self, attempt: Attempt, work: Work) -> None:
        """Let the turn wait for its user, or note what the user has answered by now. Does nothing after a stop."""
        if work.is_stopped:
            return
        # Who acknowledged the message holds the relay. That is over before nobody watches the turn any more.
        attempt.relay.wait_until_released()
        until = self.runtime.now() + self.time_to_approve
        outcome, chat = approvals.wait(self.store, attempt.chat, attempt.turn, until)
        match outcome:
            case Wait.WAITS:
                self._leave(attempt, chat)
            case Wait.ANSWERED:
                self._note_answers(attempt)
            case Wait.CANCELLED:
                raise Cancelled
            case Wait.LOST:
                raise Lost

    def _leave(self, attempt: Attempt, chat: Chat) -> None:
        """End the attempt, once the devices that were in the chat when the turn began to wait have seen all."""
        logger.info("turn_waits", steps=len(attempt.journal.steps))
        attempt.relay.follow(chat.subscribers)
        attempt.relay.drain()
        raise HandedOn

    def _note_answers(self, attempt: Attempt) -> None:
        step = attempt.journal.steps[-1]
        for place in _open(attempt):
            kept = self.store.steps.call(attempt.chat.chat_id, attempt.turn.message_id, step.number, place)
            if kept is None:
                raise Lost
            attempt.journal.note(place, kept)


def _open(attempt: Attempt) -> Mapping[int, StepCall]:
    """Return the calls of the last step that have no result, by their places."""
    return {place: call for place, call in enumerate(attempt.journal.steps[-1].calls) if call.result is None}


def _asks(call: StepCall, box: Toolbox) -> bool:
    """Return True if a call may not be made before its user has approved it. The tool may need that only by now."""
    needs = call.needs_approval or box.needs_approval(call.asked.name, call.asked.arguments)
    return needs and not call.approved
