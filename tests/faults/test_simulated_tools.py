"""Turns with tools in a simulated world: what is finished is not repeated, and the reply is whole."""

from __future__ import annotations

import pytest

from handlers.chat.replies.journal import Journal
from handlers.chat.replies.making import Making
from tests.faults.seeds import SEED, seed_bug
from tests.faults.simulation.services import SimulatedFaults
from tests.faults.simulation.steps import SimulatedSteps
from tests.faults.simulation.tool_turns import check_not_repeated, check_runs, check_tools, simulate_tools

TURNS = 300

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
    turns = ran = number = 0
    while turns < TURNS:
        print(f"PARLEY_SEED={SEED} world {number}")
        run = simulate_tools((SEED, mix, number), (MIXES | FAILING | MORE)[mix])
        check_tools(run)
        if mix in MIXES:
            check_runs(run)
        elif mix in FAILING:
            check_not_repeated(run)
        turns, number = turns + run.turns, number + 1
        ran += len(run.deployment.runs)
    assert ran > turns / 2


def found(promise, mix, worlds=40):
    """Simulate some worlds until one of them breaks the promise."""
    for number in range(worlds):
        try:
            run = simulate_tools(("planted", number), mix)
            check_tools(run)
            check_runs(run)
        except AssertionError as broken:
            if promise in str(broken):
                return True
    return False


def test_without_a_seeded_bug_nothing_is_found():
    assert not found("", SimulatedFaults(kill=0.004))


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
                self.steps[-1] = type(step)(
                    step.number,
                    step.attempt,
                    step.calls and tuple(type(each)(each.asked) for each in step.calls),
                    step.text,
                    step.reasoning,
                    step.usage,
                )

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
