"""Worker: claims a turn and brings it to its end, with one stored reply that is announced to the chat."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from handlers.chat.concurrency import Runtime, beside
from handlers.chat.connections import OpenConnections
from handlers.chat.cost import metered
from handlers.chat.log import logger
from handlers.chat.replies import (
    agents,
    asking,
    calls,
    generation,
    handing,
    hold,
    hooks,
    journal,
    making,
    relays,
    screening,
    spending,
    steps,
    toolbox,
    work,
)
from handlers.chat.replies.attempt import Attempt, ReplySettings
from handlers.chat.replies.model import AnyModel
from handlers.chat.replies.sealing import Report, Sealing, SendToUser
from handlers.chat.store import Store, StoreError
from handlers.chat.turns import branches, lifecycle


class ReplyWorker:
    """The maker of replies. `send_to_user` sends a frame to all connections of a user, `report` takes measurements.

    `hand_on` invokes the next worker of a turn.
    """

    def __init__(
        self,
        store: Store,
        connections: OpenConnections,
        model: AnyModel,
        settings: ReplySettings,
        send_to_user: SendToUser,
        runtime: Runtime,
        report: Report = lambda record: None,
        hand_on: Callable[[lifecycle.Handover], None] = lambda handover: None,
    ) -> None:
        self._store = store
        self._connections = connections
        self._settings = settings
        self._runtime = runtime
        boxes = toolbox.toolboxes(settings.assistants)
        running = calls.Calls(runtime, settings.tool_result_bytes)
        handed = handing.Handing(hand_on, runtime, settings.memory)
        stepping = steps.Stepping(making.Making(store, runtime, running, boxes), handed)
        own = agents.Agents(store, runtime, running, handed, settings.texts.refusal)
        screened = screening.Screening(hooks.Hooks(runtime), runtime)
        booked = spending.Spending(store, settings, runtime)
        asked = asking.Asking(model, own, settings, runtime, booked, screened)
        self._generation = generation.Generation(store, settings, runtime, asked, stepping)
        self._sealing = Sealing(store, settings, send_to_user, runtime, report)

    def make(self, handover: lifecycle.Handover, remaining: Callable[[], float]) -> None:
        """Bring a turn to its end: exactly one stored reply, announced to the subscribers of the chat.

        `remaining` returns the seconds that the function still has. Announces the reply if it is stored and its worker
        has died. Does nothing if the turn is another worker's, or is over, or its chat is deleted. After any exception,
        Lambda tries again.
        """
        self._make(handover, remaining, self._runtime.monotonic(), given_up=False)

    def give_up(self, handover: lifecycle.Handover, remaining: Callable[[], float]) -> None:
        """Seal a turn with the apology, after its last invocation has failed, unless another worker has it."""
        # A worker that was killed leaves a lease behind, and a worker that lives has one too. Only time tells them
        # apart: wait until the lease has run out. A lease that changes meanwhile was renewed or taken by a worker.
        began = self._runtime.monotonic()
        seen = work = lifecycle.unfinished(self._store, handover)
        while work is not None:
            now = self._runtime.now()
            if work.lease_until <= now:
                return self._make(handover, remaining, began, given_up=True)
            if work != seen:
                return logger.info("give_up_not_needed")
            self._runtime.sleep((work.lease_until - now).total_seconds())
            work = lifecycle.unfinished(self._store, handover)
        return None

    def _make(self, handover: lifecycle.Handover, remaining: Callable[[], float], began: float, given_up: bool) -> None:
        read_ahead = partial(self._generation.briefing.read_ahead, handover)
        with metered() as meter:
            prompt = (lambda: None) if given_up else beside(self._runtime, read_ahead)
            try:
                chat = lifecycle.claim(self._store, handover, self._runtime.new_id(), self._runtime.now())
                if chat is None or chat.turn is None:
                    return self._announce_again(handover)
                logger.info("turn_claimed", attempt=chat.turn.attempt)
                # Lambda gives up minutes after the first invocation: whoever acknowledged the message has ended.
                turn = replace(chat.turn, acknowledging=False) if given_up else chat.turn
                relay = relays.relay_of(chat, turn, turn.attempt, self._connections, self._settings, self._runtime)
                notes = journal.Journal(turn, relay)
                attempt = Attempt(handover, chat, turn, relay, meter, remaining, began, prompt, notes)
                try:
                    with hold.Hold(self._store, attempt, self._runtime):
                        self._bring_to_end(attempt, given_up)
                finally:
                    relay.abandon()
            finally:
                with suppress(Exception):  # who needed it has it
                    prompt()

    def _announce_again(self, handover: lifecycle.Handover) -> None:
        """Announce a reply that is stored, if its worker has died before it had announced it."""
        claimed = lifecycle.claim_announcement(self._store, handover, self._runtime.now())
        if claimed is None:
            return logger.info("turn_not_claimed")
        chat, announcement = claimed
        logger.info("announcement_taken_over", message_id=announcement.message_id)
        reply = self._store.messages.get(handover.chat_id, handover.message_id)
        reply = reply if branches.is_shown(self._store, chat, handover.message_id) else None
        attempt = reply.attempt if reply else handover.attempt
        relay = relays.relay_of(chat, announcement, attempt, self._connections, self._settings, self._runtime)
        try:
            self._sealing.announce_again(chat, announcement, relay, reply)
        finally:
            relay.abandon()

    def _bring_to_end(self, attempt: Attempt, given_up: bool) -> None:
        attempt.relay.follow(attempt.chat.subscribers)
        if given_up or lifecycle.tries(attempt.turn) > lifecycle.MAX_ATTEMPTS:
            return self._seal_apology(attempt)
        try:
            question, completion = self._generation.generate(attempt)
        except work.HandedOn:
            return None
        except Exception:
            self._fail(attempt)
            raise
        if completion is None:
            return logger.info("turn_lost")
        title = lifecycle.title_of(question) or None if attempt.chat.title is None else None
        return self._sealing.seal(attempt, completion, title)

    def _fail(self, attempt: Attempt) -> None:
        """End the lease, so that the next attempt can begin at once. The last attempt seals the apology instead."""
        if lifecycle.tries(attempt.turn) >= lifecycle.MAX_ATTEMPTS and not attempt.journal.progressed:
            return self._seal_apology(attempt)
        with suppress(StoreError):  # then the lease runs out by itself
            self._store.turns.extend(attempt.chat.user_id, attempt.chat.chat_id, attempt.turn, self._runtime.now())
        return None

    def _seal_apology(self, attempt: Attempt) -> None:
        self._sealing.seal(attempt, self._generation.give_up(attempt), title=None)
