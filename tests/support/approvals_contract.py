"""Tests of turns that wait for their user, which every store must pass. They use `store` and `chat`."""

from dataclasses import replace
from datetime import timedelta

import pytest

from handlers.chat.records import CallState, Connection, Result, Step, StepCall, Subscription
from handlers.chat.store import StoreError
from handlers.chat.turns import approvals, lifecycle, steps
from handlers.chat.turns.approvals import NOT_ANSWERED, REFUSED, Wait
from handlers.chat.turns.lifecycle import LEASE, TurnState
from tests.support.conversation import ask, claim
from tests.support.steps_contract import DONE, FIRST, LATER, NOON, SECOND

UNTIL = NOON + timedelta(days=7)
ONE, TWO = "m2-01-00", "m2-01-01"


class ApprovalsContract:
    """A step with two calls that need approval, and one that does not."""

    def begun(self, store, chat):
        asking = (StepCall(FIRST, needs_approval=True), StepCall(SECOND, needs_approval=True))
        turn = claim(store, ask(store, "m1", "m2"))
        return steps.store_step(store, chat, turn, Step(1, 1, (*asking, StepCall(FIRST))), NOON)

    def waiting(self, store, chat):
        """Let the turn wait, and return the chat."""
        outcome, then = approvals.wait(store, chat, self.begun(store, chat), UNTIL)
        assert outcome is Wait.WAITS
        return then

    def turn(self, store):
        return store.chats.get("alice", "chat").turn

    def calls(self, store):
        return [(call.approved, call.result) for call in store.steps.of_turn("chat", "m2")[0].calls]

    def answered(self, store, *pairs):
        """Store answers, each on the chat as it is then, and return what came of them."""
        return [approvals.answer(store, store.chats.get("alice", "chat"), *pair) for pair in pairs]

    def test_a_step_is_kept_with_what_needs_approval(self, store, chat):
        turn = self.begun(store, chat)
        assert turn.awaits == {ONE, TWO}
        assert turn == self.turn(store)
        [step] = store.steps.of_turn("chat", "m2")
        assert [call.needs_approval for call in step.calls] == [True, True, False]

    def test_a_turn_that_waits_has_no_worker_and_its_lease_is_the_time_to_answer(self, store, chat):
        turn = self.begun(store, chat)
        outcome, then = approvals.wait(store, chat, turn, UNTIL)
        assert (outcome, then.turn) == (Wait.WAITS, replace(turn, waiting=True, lease_until=UNTIL))
        assert then == store.chats.get("alice", "chat")
        assert lifecycle.state_of(then.turn, LATER) is TurnState.WAITING
        assert lifecycle.state_of(then.turn, UNTIL) is TurnState.ABANDONED

    def test_nobody_writes_anything_of_a_turn_that_waits(self, store, chat):
        turn = self.waiting(store, chat).turn
        assert store.turns.claim("alice", "chat", turn, "w2", LATER) is None
        assert store.turns.extend("alice", "chat", turn, LATER) is None
        assert store.turns.wait("alice", "chat", turn, LATER) is None
        assert steps.store_step(store, chat, turn, Step(2, 1, (StepCall(FIRST),)), LATER) is None
        assert self.turn(store) == turn

    def test_it_does_not_wait_once_all_is_answered(self, store, chat):
        turn = self.begun(store, chat)
        assert self.answered(store, (ONE, True), (TWO, False)) == [True, True]
        outcome, then = approvals.wait(store, chat, turn, UNTIL)
        assert (outcome, then.turn.waiting, then.turn.awaits) == (Wait.ANSWERED, False, frozenset())

    def test_it_does_not_wait_once_it_is_cancelled_or_taken_over(self, store, chat):
        turn = self.begun(store, chat)
        store.turns.cancel("alice", "chat", "m2")
        assert approvals.wait(store, chat, turn, UNTIL)[0] is Wait.CANCELLED
        store.turns.claim("alice", "chat", turn, "w2", LATER)
        assert approvals.wait(store, chat, turn, UNTIL)[0] is Wait.LOST

    def test_an_answer_is_kept_with_its_call_and_a_refusal_is_its_result(self, store, chat):
        self.waiting(store, chat)
        assert self.answered(store, (ONE, True)) == [True]
        assert self.turn(store).awaits == {TWO}
        assert self.answered(store, (TWO, False)) == [True]
        assert self.calls(store) == [(True, None), (False, REFUSED), (None, None)]
        assert approvals.is_over(self.turn(store))

    def test_the_first_answer_counts_and_the_same_again_is_right(self, store, chat):
        before = self.waiting(store, chat)
        assert self.answered(store, (ONE, True), (ONE, True), (ONE, False)) == [True, True, False]
        # Another device that has read the chat before the first answer.
        assert [approvals.answer(store, before, ONE, said) for said in (True, False)] == [True, False]
        assert self.calls(store)[0] == (True, None)

    @pytest.mark.parametrize(
        "call_id", ["m2-01-02", "m2-01-03", "m2-02-00", "m2", "m1-01-00", "m2-1-0", "m2-01-00 ", "", "é"]
    )
    def test_nobody_answers_what_was_not_asked(self, store, chat, call_id):
        self.waiting(store, chat)
        assert self.answered(store, (call_id, True), (call_id, False)) == [False, False]
        assert self.calls(store) == [(None, None)] * 3

    def test_nor_in_a_chat_without_a_turn_or_with_one_that_is_to_end(self, store, chat):
        assert not approvals.answer(store, chat, ONE, True)
        self.waiting(store, chat)
        store.turns.cancel("alice", "chat", "m2")
        assert self.answered(store, (ONE, True)) == [False]

    def test_what_waits_for_nothing_goes_on_once(self, store, chat):
        self.waiting(store, chat)
        self.answered(store, (ONE, True), (TWO, True))
        then = store.chats.get("alice", "chat")
        assert [approvals.resume(store, then, then.turn, at) for at in (LATER, UNTIL)] == [True, False]
        kept = self.turn(store)
        assert (kept.waiting, kept.lease_until, kept.since) == (False, LATER + LEASE, 1)
        assert lifecycle.check_lease(store.chats.get("alice", "chat"), then.turn) is lifecycle.LeaseCheck.LOST
        assert claim(store, lifecycle.handover_of(then, then.turn), worker="w2").attempt == 2

    def test_an_attempt_is_not_resumed_for_an_earlier_one(self, store, chat):
        self.waiting(store, chat)
        self.answered(store, (ONE, True), (TWO, True))
        late = store.chats.get("alice", "chat")
        assert approvals.resume(store, late, late.turn, LATER)
        turn = claim(store, lifecycle.handover_of(late, late.turn), worker="w2")
        turn = steps.store_step(store, chat, turn, Step(2, 2, (StepCall(FIRST, needs_approval=True),)), NOON)
        assert approvals.wait(store, chat, turn, UNTIL)[0] is Wait.WAITS
        assert not approvals.resume(store, late, late.turn, LATER)
        assert self.turn(store).waiting

    def test_who_takes_over_at_the_end_of_the_time_ends_the_answers(self, store, chat):
        then = self.waiting(store, chat)
        self.answered(store, (ONE, True))
        assert lifecycle.take_over(store, then, then.turn, UNTIL)
        kept = self.turn(store)
        assert (kept.waiting, kept.awaits) == (False, frozenset())
        assert self.answered(store, (TWO, True), (ONE, True)) == [False, True]
        assert self.calls(store)[1] == (None, None)
        assert NOT_ANSWERED.state is CallState.ERROR

    def test_a_takeover_before_the_wait_leaves_the_answers_open(self, store, chat):
        turn = self.begun(store, chat)
        assert lifecycle.take_over(store, store.chats.get("alice", "chat"), turn, turn.lease_until)
        assert self.turn(store).awaits == {ONE, TWO}

    def test_a_call_that_has_a_result_takes_no_answer(self, store, chat):
        self.waiting(store, chat)
        steps.store_result(store, chat, self.turn(store), 1, 0, DONE)
        assert self.answered(store, (ONE, True)) == [False]

    def test_nothing_of_a_deleted_chat_comes_back(self, store, chat):
        then = self.waiting(store, chat)
        store.chats.delete("alice", "chat", NOON)
        list(store.steps.delete_until("chat", "m2"))
        assert not approvals.answer(store, then, ONE, True)
        assert not approvals.resume(store, then, then.turn, LATER)
        assert store.steps.of_turn("chat", "m2") == ()
        assert store.chats.get("alice", "chat") is None

    def test_nobody_gives_up_a_turn_that_waits(self, store, chat):
        handover = lifecycle.Handover("alice", "chat", "m2")
        turn = self.begun(store, chat)
        assert lifecycle.unfinished(store, handover) == turn
        approvals.wait(store, chat, turn, UNTIL)
        assert lifecycle.unfinished(store, handover) is None

    def test_a_device_does_not_subscribe_to_a_chat_whose_turn_begins_or_ends_to_wait_meanwhile(self, store, chat):
        connection = Connection("c1=", NOON, "alice", "chat")
        store.connections.add(Connection("c1=", NOON))
        assert store.connections.rebind(Connection("c1=", NOON), connection)
        turn = self.begun(store, chat)
        shown = store.chats.get("alice", "chat")
        approvals.wait(store, chat, turn, UNTIL)
        assert not store.chats.subscribe(connection, shown, Subscription("j1"))
        waits = store.chats.get("alice", "chat")
        assert store.chats.subscribe(connection, waits, Subscription("j2"))
        self.answered(store, (ONE, True), (TWO, True))
        assert store.chats.subscribe(connection, waits, Subscription("j3"))
        approvals.resume(store, waits, waits.turn, LATER)
        assert not store.chats.subscribe(connection, waits, Subscription("j4"))

    @pytest.mark.parametrize("lost", ["no", "error"])
    def test_a_lost_answer_of_the_store_changes_nothing(self, store, chat, monkeypatch, lost):
        def lose(part, name, no):
            write = getattr(part, name)

            def written(*arguments):
                write(*arguments)
                if lost == "error":
                    raise StoreError("lost")
                return no

            monkeypatch.setattr(part, name, written)

        turn = self.begun(store, chat)
        lose(store.turns, "wait", None)
        lose(store.turns, "resume", False)
        lose(store.steps, "answer", False)
        assert approvals.wait(store, chat, turn, UNTIL)[0] is Wait.WAITS
        assert self.answered(store, (ONE, True), (TWO, False)) == [True, True]
        assert self.answered(store, (ONE, False)) == [False]
        then = store.chats.get("alice", "chat")
        assert approvals.resume(store, then, then.turn, LATER)

    def test_a_store_that_failed_is_no_answer_and_no_lost_turn(self, store, chat, monkeypatch):
        def fail(*_):
            raise StoreError("down")

        turn = self.begun(store, chat)
        monkeypatch.setattr(store.turns, "wait", fail)
        with pytest.raises(StoreError):
            approvals.wait(store, chat, turn, UNTIL)
        monkeypatch.setattr(store.steps, "answer", fail)
        with pytest.raises(StoreError):
            self.answered(store, (ONE, True))
        assert self.turn(store) == turn

    def test_what_is_stored_is_shown_to_who_joins(self, store, chat):
        then = self.waiting(store, chat)
        steps.store_result(store, chat, then.turn, 1, 2, Result(CallState.DONE, "sun"))
        self.answered(store, (ONE, True))
        then = store.chats.get("alice", "chat")
        script = steps.script_of(store, then, then.turn, "typing")
        assert [(part.call_id, part.state) for part in script.parts] == [
            (ONE, "running"),
            (TWO, "waiting"),
            ("m2-01-02", "done"),
        ]
        assert script.start.attempt == 1
