"""Making of the calls of a step: side by side, and each result is stored before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from handlers.chat.concurrency import Runtime
from handlers.chat.records import CallState, Result
from handlers.chat.replies import results
from handlers.chat.replies.attempt import Attempt
from handlers.chat.replies.calls import Call, Caller, Calls
from handlers.chat.replies.toolbox import Toolbox
from handlers.chat.replies.work import Lost, Work
from handlers.chat.store import Store
from handlers.chat.turns import lifecycle, steps

NO_APPROVAL = results.error("The tool needs the user's approval, and nobody can be asked for it.")


@dataclass(frozen=True, slots=True)
class Making:
    """The making of calls. `toolboxes` are those of the assistants whose tools can be used, by their ids."""

    store: Store
    runtime: Runtime
    calls: Calls
    toolboxes: Mapping[str, Toolbox]

    def make(self, attempt: Attempt, box: Toolbox, work: Work, since: float | None) -> None:
        """Make the calls of the last step that have no result, as far as the work is not stopped. Raises `Lost`.

        `since` is a moment before the last write that has renewed the lease, None if that is not known.
        """
        step = attempt.journal.steps[-1]
        waiting = {place: call.asked for place, call in enumerate(step.calls) if call.result is None}
        if not waiting or work.is_stopped:
            return
        self._keep_lease(attempt, since)
        for place, asked in list(waiting.items()):
            if box.needs_approval(asked.name):
                self._store(attempt, place, NO_APPROVAL)
                del waiting[place]
        places = {steps.call_id(attempt.turn, step.number, place): place for place in waiting}
        caller = Caller(attempt.chat.user_id, attempt.chat.chat_id, attempt.remaining)
        running = self.calls.run([Call(call_id, waiting[place]) for call_id, place in places.items()], box, caller)
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
