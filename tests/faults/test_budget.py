"""The budget of tokens in a simulated world: a hard stop, however replies end."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from handlers.chat.limits import budget
from handlers.chat.replies.spending import Bill
from tests.faults.simulation.services import SimulatedFaults, SimulatedUsers
from tests.faults.simulation.spending import CHATS, Count, Ending, Fate, SpendingUser

FAULTS = [
    SimulatedFaults(),
    SimulatedFaults(store_fails=0.02, store_forgets=0.05),
    SimulatedFaults(kill=0.01, freeze=0.01),
    SimulatedFaults(invocation_doubled=0.5, invocation_lost=0.1),
]


def endings(**more: st.SearchStrategy[float]) -> st.SearchStrategy[list[Ending]]:
    ending = st.builds(
        Ending,
        chat=st.integers(0, CHATS - 1),
        fate=st.sampled_from(Fate),
        count=st.sampled_from(Count),
        piece=st.sampled_from(["Hello, ", "Привет", "မင်္ဂလာပါ", "\U0001f469\u200d\U0001f680"]),
        at=st.integers(-1, 12),
        pause=st.floats(0.0, 20.0),
        thinking=st.sampled_from([0.0, 0.01, 0.05, 2.0]),
        speed=st.sampled_from([0, 100, budget.HIDDEN_TOKENS_PER_SECOND]),
        **more,
    )
    return st.lists(ending, min_size=15, max_size=30)


PLANS = endings(density=st.floats(0.2, 1.0), shown=st.sampled_from([0.0, 0.1, 1.0])) | endings(
    # The estimates are upper bounds. Here nothing is below them that could hide a mistake.
    density=st.just(1.0),
    shown=st.just(0.0),
)


def endings_of_many_lives() -> int:
    """Let users live, check each life, and return how many answers of the model ended in them."""
    endings = []

    @settings(
        max_examples=160,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(PLANS, st.sampled_from(FAULTS), st.integers(0, 10**6))
    def live(plan: list[Ending], faults: SimulatedFaults, seed: int) -> None:
        user = SpendingUser(plan, faults, seed)
        user.lives()
        user.check()
        endings.append(len(user.model.answers))

    live()
    return sum(endings)


def test_what_was_spent_never_exceeds_the_budget_by_more_than_one_reply():
    assert endings_of_many_lives() >= 1_000


def as_before(text: str) -> int:
    """The estimate by characters, which is too low for most scripts."""
    return ceil(len(text) / 3)


@pytest.mark.parametrize(
    ("holder", "name", "bug"),
    [
        (budget, "estimate_text", as_before),
        (Bill, "tokens", lambda bill, now: bill._usage.prompt_tokens if bill._usage else bill.prompt),
        (budget, "estimate_answer", lambda text, thinking, wait, longest: text + thinking),
        (budget, "estimate_answer", lambda text, thinking, wait, longest: text),
        (SimulatedUsers, "reserve_tokens", lambda *_: True),
    ],
    ids=[
        "an estimate by characters",
        "a bill without the answer",
        "a bill without hidden thinking",
        "a bill without any thinking",
        "a reservation that is not booked",
    ],
)
def test_a_bug_in_it_is_found(monkeypatch, holder, name, bug):
    monkeypatch.setattr(holder, name, bug)
    with pytest.raises(AssertionError):
        endings_of_many_lives()
