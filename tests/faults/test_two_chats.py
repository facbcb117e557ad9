"""Two messages of one user in two chats at once, in every interleaving: what passes is counted, and nothing else."""

from __future__ import annotations

import pytest

from handlers.chat.limits.policy import QuotaChange, QuotaUsage
from tests.faults.seeds import seed_bug
from tests.faults.simulation.interleaving import interleave, schedules
from tests.faults.simulation.turns import SimulatedTurns
from tests.faults.simulation.two_chats import TwoChats


def run_all(check, **limits):
    """Run every interleaving, and return their number."""
    runs = 0
    for choose in schedules():
        two = TwoChats(**limits)
        interleave([lambda two=two: two.send(1), lambda two=two: two.send(2)], choose, lambda: None)
        check(two)
        runs += 1
    return runs


def both_pass(two):
    assert (two.stored(), sorted(two.begun), two.codes) == (["a1", "a2"], ["a1", "a2"], [])
    assert two.store.tables.quotas["alice"].messages == 2


def one_passes(two):
    assert (two.stored(), two.codes) == (two.begun, ["rate_limited"])
    assert two.store.tables.quotas["alice"].messages == 1


def test_both_are_stored_and_counted_where_there_is_room():
    assert run_all(both_pass, MESSAGES_PER_MINUTE="20", CONCURRENT_REPLIES="3") > 100


@pytest.mark.parametrize("limit", ["MESSAGES_PER_MINUTE", "MESSAGES_PER_DAY", "CONCURRENT_REPLIES"])
def test_one_is_stored_and_counted_where_there_is_room_for_one(limit):
    assert run_all(one_passes, **{limit: "1"}) > 100


def test_this_finds_usage_that_is_written_whatever_it_is_by_now(monkeypatch):
    def careless(accept):
        def call(self, chat, message, turn, change):
            now = self.tables.quotas.get("alice", QuotaUsage())
            return accept(self, chat, message, turn, QuotaChange(now, change.after))

        return call

    seed_bug(monkeypatch, SimulatedTurns, "accept", careless)
    with pytest.raises(AssertionError):
        run_all(one_passes, MESSAGES_PER_MINUTE="1")
