"""Everything that may happen to a turn that asks for an approval, two at once, in every interleaving of their calls."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.chat.turns import approvals
from handlers.chat.turns.approvals import Wait
from tests.faults.seeds import seed_bug
from tests.faults.simulation.asking_turn import AskingTurn
from tests.faults.simulation.interleaving import interleave, schedules
from tests.faults.simulation.steps import SimulatedSteps
from tests.faults.simulation.turns import SimulatedTurns

WHILE_IT_WAITS = ["approve", "refuse", "cancel", "ping", "join", "delete"]
BEFORE = ["wait", *WHILE_IT_WAITS]
PAIRS = [
    *((True, one, other) for one, other in itertools.combinations(WHILE_IT_WAITS, 2)),
    *((False, "wait", other) for other in WHILE_IT_WAITS),
]


def run(waits, names, choose):
    asking = AskingTurn(waits=waits)
    interleave([getattr(asking, name) for name in names], choose, asking.check)
    asking.check_at_the_end()
    return asking


def run_all(waits, *names):
    """Run every interleaving, and return the outcomes of the wait."""
    return {run(waits, names, choose).outcome for choose in schedules()}


@pytest.mark.parametrize(("waits", "one", "other"), PAIRS)
def test_two_at_once_leave_one_answer_and_one_worker(waits, one, other):
    run_all(waits, one, other)


def test_the_write_that_lets_the_turn_wait_may_come_before_the_answer_or_after_it():
    assert run_all(False, "wait", "approve") == {Wait.WAITS, Wait.ANSWERED}
    assert run_all(False, "wait", "cancel") == {Wait.WAITS, Wait.CANCELLED}
    assert run_all(False, "wait", "delete") == {Wait.WAITS, Wait.LOST}


@settings(max_examples=200, deadline=None)
@given(names=st.lists(st.sampled_from(BEFORE[1:]), min_size=2, max_size=4), waits=st.booleans(), data=st.data())
def test_so_do_more_of_them_in_some_order(names, waits, data):
    names = names if waits else ["wait", *names]
    run(waits, names, lambda ready: data.draw(st.integers(0, ready - 1)))


class TestThisFindsBugs:
    """Each condition, left out, breaks what is checked above."""

    def finds(self, waits, *names):
        with pytest.raises(AssertionError) as broken:
            run_all(waits, *names)
        return str(broken.value)

    def test_a_turn_that_waits_although_all_is_answered(self, monkeypatch):
        def careless(wait):
            def call(self, user_id, chat_id, turn, until):
                changed = wait(self, user_id, chat_id, turn, until)
                return changed or self._at(user_id, chat_id, turn, waiting=True, lease_until=until)

            return call

        seed_bug(monkeypatch, SimulatedTurns, "wait", careless)
        assert "the turn waits for nothing" in self.finds(False, "wait", "approve")

    def test_answers_that_start_a_worker_each(self, monkeypatch):
        monkeypatch.setattr(approvals, "resume", lambda *_: True)
        assert "the turn waits for nothing" in self.finds(True, "approve", "ping")

    def test_an_answer_without_the_turn(self, monkeypatch):
        def careless(answer):
            def call(self, chat, message_id, place, call_id, approved, result):
                kept = self._call_at(chat.chat_id, message_id, *place)
                self._put(chat.chat_id, message_id, *place, type(kept)(kept.asked, result, True, approved))
                return True

            return call

        seed_bug(monkeypatch, SimulatedSteps, "answer", careless)
        assert "an answer is half stored" in self.finds(True, "approve", "ping")

    def test_a_subscription_to_a_chat_that_has_begun_to_wait(self, monkeypatch):
        def shown(chat):
            turn = chat.turn
            return chat.last_message_id, chat.message_count, turn.message_id if turn else None

        monkeypatch.setattr("tests.faults.simulation.services.shown", shown)
        assert "a device is shown nothing" in self.finds(False, "wait", "join")
