"""Turns with tools in a simulated world: what is finished is not repeated, and the reply is whole."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from handlers.chat.replies.journal import Journal
from handlers.chat.replies.making import Making
from tests.faults.seeds import SEED, seed_bug
from tests.faults.simulation.services import SimulatedFaults
from tests.faults.simulation.steps import SimulatedSteps
from tests.faults.simulation.tool_turns import (
    check_no_apology,
    check_not_repeated,
    check_runs,
    check_tools,
    simulate_tools,
)
from tests.faults.simulation.turns import SimulatedTurns

TURNS = int(os.environ.get("PARLEY_TOOL_TURNS", "0")) // 10 or 120
"""Turns under each mix of faults. `PARLEY_TOOL_TURNS=10000` makes so many together."""

MIXES = {
    "nothing": SimulatedFaults(),
    "crashes": SimulatedFaults(kill=0.004),
    "a store in conflict": SimulatedFaults(store_conflicts=0.3),
    "posts that fail": SimulatedFaults(post_fails=0.2, post_hangs=0.01),
    "invocations": SimulatedFaults(invocation_lost=0.2, invocation_doubled=0.3, invocation_late=0.1),
}
"""Faults under which a call runs once, or again where its worker died."""

FAILING = {
    "a store that fails": SimulatedFaults(store_fails=0.03),
    "a store that forgets": SimulatedFaults(store_forgets=0.05),
}
"""Faults under which a worker that lives gives up its attempt: a call whose result it could not store runs again."""

MORE = {
    "zombies": SimulatedFaults(freeze=0.004),
    "clocks": SimulatedFaults(skew=300.0, kill=0.002),
    "everything": SimulatedFaults(
        kill=0.002, freeze=0.002, store_fails=0.01, store_forgets=0.01, invocation_doubled=0.1, model_fails=0.01
    ),
}
"""Faults under which a worker may have lost its turn and not know it yet."""


@pytest.mark.parametrize("mix", MIXES | FAILING | MORE)
def test_the_promises_hold_under(mix):
    turns = ran = asked = number = 0
    while turns < TURNS:
        print(f"PARLEY_SEED={SEED} world {number}")
        run = simulate_tools((SEED, mix, number), (MIXES | FAILING | MORE)[mix])
        check_tools(run)
        if mix == "nothing":
            check_no_apology(run)
        if mix in MIXES:
            check_runs(run)
        elif mix in FAILING:
            check_not_repeated(run)
        turns, number = turns + run.turns, number + 1
        ran += len(run.deployment.runs)
        asked += len(run.deployment.ignored)
    assert ran > turns / 2
    assert asked > turns / 4


def found(promise, mix, worlds=range(40), questions=8):
    """Simulate some worlds until one of them breaks the promise."""
    for number in worlds:
        try:
            run = simulate_tools(("planted", number), mix, questions)
            check_tools(run)
            check_runs(run)
            if mix == SimulatedFaults():
                check_no_apology(run)
        except AssertionError as broken:
            if promise in str(broken):
                return True
    return False


def test_without_a_seeded_bug_nothing_is_found():
    assert not found("", SimulatedFaults(kill=0.004), worlds=range(15))


def test_results_that_are_not_kept(monkeypatch):
    seed_bug(monkeypatch, SimulatedSteps, "finish", lambda finish: lambda self, *_: True)
    assert found("", SimulatedFaults(kill=0.004))


def test_a_step_that_a_worker_stores_after_another_one_has_taken_over(monkeypatch):
    monkeypatch.setattr("tests.faults.simulation.steps.is_at", lambda chat, turn: True)
    assert found("", SimulatedFaults(freeze=0.01))


def test_a_takeover_that_forgets_the_results(monkeypatch):
    def forgetful(keep):
        def call(self, step, turn=None):
            keep(self, step, turn)
            if turn is None:
                calls = tuple(replace(each, result=None) for each in step.calls)
                self.steps[-1] = replace(step, calls=calls)

        return call

    seed_bug(monkeypatch, Journal, "keep", forgetful)
    assert found("ran again although its result was stored", SimulatedFaults(kill=0.01))


def test_a_result_that_is_used_before_it_is_stored(monkeypatch):
    def hasty(store):
        def call(self, attempt, place, result):
            attempt.journal.finish(place, result)

        return call

    seed_bug(monkeypatch, Making, "_store", hasty)
    assert found("an unexpected exception", SimulatedFaults(kill=0.004))


class TestApprovals:
    def test_a_turn_that_goes_on_and_is_still_marked_as_waiting(self, monkeypatch):
        def forgetful(resume):
            def call(self, user_id, chat_id, turn, lease_until):
                change = resume(self, user_id, chat_id, turn, lease_until)
                chat = self.tables.chats[user_id, chat_id]
                if change and chat.turn:
                    self.tables.chats[user_id, chat_id] = replace(chat, turn=replace(chat.turn, waiting=True))
                return change

            return call

        seed_bug(monkeypatch, SimulatedTurns, "resume", forgetful)
        assert found("a turn never came to its end", SimulatedFaults(), questions=1)

    def test_answers_and_steps_that_do_not_count_as_progress(self, monkeypatch):
        monkeypatch.setattr("tests.faults.simulation.tool_turns.MOST_STEPS", 6)
        assert not found("", SimulatedFaults(), worlds=range(5))
        monkeypatch.setattr("handlers.chat.turns.lifecycle.tries", lambda turn: turn.attempt)
        assert found("an apology without a fault", SimulatedFaults())

    def test_a_turn_that_is_given_up_while_it_waits(self, monkeypatch):
        def impatient(store, handover):
            chat = store.chats.get(handover.user_id, handover.chat_id)
            is_it = chat and chat.turn and chat.turn.message_id == handover.message_id
            return chat.turn if is_it else None

        worlds = range(28, 31)
        assert not found("a worker waits for the user", SimulatedFaults(kill=0.1), worlds=worlds)
        monkeypatch.setattr("handlers.chat.turns.lifecycle.unfinished", impatient)
        assert found("a worker waits for the user", SimulatedFaults(kill=0.1), worlds=worlds)

    def test_a_worker_that_renews_its_lease_while_its_turn_waits(self, monkeypatch):
        def careless(chat, turn):
            now = chat.turn
            return now is not None and (now.message_id, now.attempt) == (turn.message_id, turn.attempt)

        monkeypatch.setattr("tests.faults.simulation.turns.is_at", careless)
        assert found("the time to answer was too short", SimulatedFaults(post_fails=0.2, post_hangs=0.05))

    def test_a_call_that_runs_whatever_the_user_says(self, monkeypatch):
        monkeypatch.setattr("handlers.chat.replies.making._asks", lambda call, box: False)
        assert found("a call ran that nobody had approved", SimulatedFaults())

    def test_a_refusal_that_is_forgotten(self, monkeypatch):
        def forgetful(answer):
            def call(self, chat, message_id, place, call_id, approved, result):
                return answer(self, chat, message_id, place, call_id, True, None)

            return call

        seed_bug(monkeypatch, SimulatedSteps, "answer", forgetful)
        assert found("a call ran that its user had refused", SimulatedFaults())
