"""Tests of stored steps that every store must pass. Test modules subclass them; they use `store` and `chat`."""

from datetime import UTC, datetime, timedelta

import pytest

from handlers.chat.records import CallState, NamedStep, Result, Step, StepCall, ToolCall, Usage
from handlers.chat.store import StoreError
from handlers.chat.turns import steps
from handlers.chat.turns.lifecycle import LEASE
from tests.support.conversation import ask, claim, seal

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=20)
DONE = Result(CallState.DONE, "sun")
OTHER = Result(CallState.ERROR, "rain")
FIRST = ToolCall("weather", '{"city": "Осло"}', "call_1", {"google": {"thought_signature": "x"}})
SECOND = ToolCall("weather", "{", "")


def a_step(number=1, attempt=1, calls=(FIRST, SECOND), **more):
    """A step that asks for calls."""
    return Step(number, attempt, tuple(StepCall(call) for call in calls), **more)


def a_named_step(name="look", number=1, attempt=1, result="null", usage=None):
    """A step of an own agent."""
    return NamedStep(name, number, attempt, result, usage)


class StepsContract:
    def begun(self, store):
        return claim(store, ask(store, "m1", "m2"))

    def test_a_step_is_kept_as_it_is_and_the_turn_counts_it(self, store, chat):
        turn = self.begun(store)
        step = a_step(text="I look.", reasoning="hm", usage=Usage(7, 3))
        then = steps.store_step(store, chat, turn, step, LATER)
        kept = store.chats.get("alice", "chat").turn
        assert then == kept
        assert (kept.steps, kept.since, kept.lease_until) == (1, 1, LATER + LEASE)
        assert steps.load_steps(store, chat, kept) == (step,)

    def test_steps_come_in_order_and_those_of_other_turns_do_not(self, store, chat):
        turn = self.begun(store)
        for number in range(1, 13):
            turn = steps.store_step(store, chat, turn, a_step(number, calls=(FIRST,) * (number % 3 + 1)), NOON)
        assert [step.number for step in store.steps.of_turn("chat", "m2")] == list(range(1, 13))
        assert store.steps.of_turn("chat", "m") == store.steps.of_turn("chat", "m3") == ()

    def test_a_worker_that_was_overtaken_stores_no_step(self, store, chat):
        turn = self.begun(store)
        store.turns.claim("alice", "chat", turn, "w2", LATER)
        assert steps.store_step(store, chat, turn, a_step(), NOON) is None
        assert store.steps.of_turn("chat", "m2") == ()
        assert store.chats.get("alice", "chat").turn.steps == 0

    def test_a_step_is_stored_once(self, store, chat):
        turn = self.begun(store)
        assert store.steps.add(chat, turn, a_step(text="first"), LATER, LATER)
        assert not store.steps.add(chat, turn, a_step(text="second"), LATER, LATER)
        assert [step.text for step in store.steps.of_turn("chat", "m2")] == ["first"]

    def test_the_first_result_counts(self, store, chat):
        turn = self.begun(store)
        steps.store_step(store, chat, turn, a_step(), NOON)
        assert store.steps.result("chat", "m2", 1, 1) is None
        assert steps.store_result(store, chat, turn, 1, 1, DONE) == DONE
        assert steps.store_result(store, chat, turn, 1, 1, OTHER) == DONE
        [step] = store.steps.of_turn("chat", "m2")
        assert [call.result for call in step.calls] == [None, DONE]

    def test_a_result_needs_its_step(self, store, chat):
        turn = self.begun(store)
        assert steps.store_result(store, chat, turn, 1, 0, DONE) is None
        assert store.steps.of_turn("chat", "m2") == ()

    def test_deletion_leaves_the_steps_of_later_turns(self, store, chat):
        first = ask(store, "m1", "m2")
        turn = claim(store, first)
        steps.store_step(store, chat, turn, a_step(), NOON)
        seal(store, first, turn=turn)
        later = claim(store, ask(store, "m3", "m4"))
        steps.store_step(store, chat, later, a_step(), NOON)
        assert sum(store.steps.delete_until("chat", "m2")) == 3
        assert (store.steps.of_turn("chat", "m2"), len(store.steps.of_turn("chat", "m4"))) == ((), 1)

    def test_steps_that_have_expired_are_fewer_than_the_turn_says(self, store, chat):
        turn = self.begun(store)
        then = steps.store_step(store, chat, turn, a_step(), NOON)
        list(store.steps.delete_until("chat", "m2"))
        assert (steps.load_steps(store, chat, then), then.steps) == ((), 1)

    @pytest.mark.parametrize("lost", [False, StoreError("lost")], ids=["no", "error"])
    def test_a_lost_answer_changes_nothing(self, store, chat, monkeypatch, lost):
        turn = self.begun(store)

        def lose(name):
            write = getattr(store.steps, name)

            def written(*arguments):
                write(*arguments)
                if isinstance(lost, Exception):
                    raise lost
                return lost

            monkeypatch.setattr(store.steps, name, written)

        for name in ("add", "finish"):
            lose(name)
        then = steps.store_step(store, chat, turn, a_step(), NOON)
        assert then == store.chats.get("alice", "chat").turn
        assert steps.store_result(store, chat, then, 1, 0, DONE) == DONE

    def test_a_store_that_failed_is_no_lost_turn(self, store, chat, monkeypatch):
        turn = self.begun(store)
        then = steps.store_step(store, chat, turn, a_step(), NOON)

        def fail(*_):
            raise StoreError("down")

        monkeypatch.setattr(store.steps, "add", fail)
        monkeypatch.setattr(store.steps, "finish", fail)
        with pytest.raises(StoreError):
            steps.store_step(store, chat, then, a_step(2), NOON)
        with pytest.raises(StoreError):
            steps.store_result(store, chat, then, 1, 0, DONE)

    def test_a_named_step_is_kept_as_it_is_and_the_turn_counts_it(self, store, chat):
        turn = self.begun(store)
        first, second = a_named_step(result='"Осло"', usage=Usage(7, 3)), a_named_step(number=2)
        other = a_named_step("a-b_1")
        assert all(
            steps.store_named(store, chat, turn, step, count, LATER)
            for count, step in enumerate([second, first, other], start=1)
        )
        kept = store.chats.get("alice", "chat").turn
        assert (kept.steps, kept.since, kept.lease_until) == (3, 1, LATER + LEASE)
        assert set(steps.load_named(store, chat, kept)) == {first, second, other}
        assert store.steps.named("chat", "m") == store.steps.named("chat", "m3") == ()

    def test_a_worker_that_was_overtaken_stores_no_named_step(self, store, chat):
        turn = self.begun(store)
        store.turns.claim("alice", "chat", turn, "w2", LATER)
        assert not steps.store_named(store, chat, turn, a_named_step(), 1, NOON)
        assert (store.steps.named("chat", "m2"), store.chats.get("alice", "chat").turn.steps) == ((), 0)

    def test_a_named_step_is_stored_once(self, store, chat):
        turn = self.begun(store)
        assert store.steps.keep(chat, turn, a_named_step(result="1"), 1, LATER, LATER)
        assert not store.steps.keep(chat, turn, a_named_step(result="2"), 2, LATER, LATER)
        assert ([step.result for step in store.steps.named("chat", "m2")], self.count(store)) == (["1"], 1)

    def count(self, store):
        return store.chats.get("alice", "chat").turn.steps

    def test_deletion_takes_named_steps_along(self, store, chat):
        first = ask(store, "m1", "m2")
        turn = claim(store, first)
        steps.store_named(store, chat, turn, a_named_step(), 1, NOON)
        seal(store, first, turn=turn)
        later = claim(store, ask(store, "m3", "m4"))
        steps.store_named(store, chat, later, a_named_step(), 1, NOON)
        assert sum(store.steps.delete_until("chat", "m2")) == 1
        assert (store.steps.named("chat", "m2"), len(store.steps.named("chat", "m4"))) == ((), 1)

    @pytest.mark.parametrize("lost", [False, StoreError("lost")], ids=["no", "error"])
    def test_a_lost_answer_to_a_named_step_changes_nothing(self, store, chat, monkeypatch, lost):
        turn = self.begun(store)
        keep = store.steps.keep

        def lose(*arguments):
            keep(*arguments)
            if isinstance(lost, Exception):
                raise lost
            return lost

        monkeypatch.setattr(store.steps, "keep", lose)
        assert steps.store_named(store, chat, turn, a_named_step(), 1, NOON)
        assert store.steps.named("chat", "m2") == (a_named_step(),)

    def test_a_store_that_failed_at_a_named_step_is_no_lost_turn(self, store, chat, monkeypatch):
        turn = self.begun(store)

        def fail(*_):
            raise StoreError("down")

        monkeypatch.setattr(store.steps, "keep", fail)
        with pytest.raises(StoreError):
            steps.store_named(store, chat, turn, a_named_step(), 1, NOON)
