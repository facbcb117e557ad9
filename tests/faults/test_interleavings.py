"""Two frames of one connection at once, in every interleaving of their calls of the store.

At every moment a connection has one user, that user's session and at most one chat of that user's. A chat has no
subscription of a connection that is elsewhere, or of another session.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.simulation.interleaving import interleave, schedules
from tests.faults.simulation.services import SimulatedChats, SimulatedConnections
from tests.faults.simulation.store import SimulatedStore
from tests.faults.simulation.two_frames import BEFORE, FRAMES, TwoFrames


def run(before, frames, choose):
    two = TwoFrames(SimulatedStore())
    for name in BEFORE[before]:
        two.sends(name)
    two.check()
    interleave([lambda name=name: two.sends(name) for name in frames], choose, two.check)
    two.check_at_the_end()
    return two


def run_all(before, *frames):
    """Run every interleaving, and return their number."""
    runs = 0
    for choose in schedules():
        run(before, frames, choose)
        runs += 1
    return runs


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    before=st.sampled_from(sorted(BEFORE)), one=st.sampled_from(sorted(FRAMES)), other=st.sampled_from(sorted(FRAMES))
)
def test_two_frames_at_once_leave_one_user_one_chat_and_that_users_session(before, one, other):
    run_all(before, one, other)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    before=st.sampled_from(sorted(BEFORE)),
    frames=st.lists(st.sampled_from(sorted(FRAMES)), min_size=3, max_size=4),
    data=st.data(),
)
def test_so_do_more_of_them_in_some_order(before, frames, data):
    run(before, frames, lambda ready: data.draw(st.integers(0, ready - 1)))


def test_a_schedule_is_run_once_and_none_is_left_out():
    assert run_all("anonymous", "ping", "ping") == 6
    assert run_all("in a chat", "leave", "history") > 5


@pytest.mark.parametrize("other", ["join a1", "alice renews", "leave", "create"])
def test_the_frame_that_comes_too_late_is_decided_again(other):
    outcomes = set()
    for choose in schedules():
        two = run("in a chat", ("bob joins", other), choose)
        row = two.store.connections.get("c1=")
        outcomes.add((row.user_id, row.chat_id))
    assert ("bob", "b1") in outcomes


class TestThisFindsBugs:
    """Each condition of the store, left out, breaks what is checked above."""

    def finds(self, *frames):
        with pytest.raises(AssertionError) as broken:
            run_all("in a chat", *frames)
        return str(broken.value)

    def test_a_row_that_is_written_whatever_it_is_by_now(self, monkeypatch):
        def careless(self, before, after):
            row = self.tables.connections[before.connection_id]
            renewed = after.until != before.until
            return rebind(self, row, after if renewed else replace(after, until=row.until))

        rebind = SimulatedConnections.rebind
        monkeypatch.setattr(SimulatedConnections, "rebind", careless)
        assert "a user has another user's session" in self.finds("bob joins", "join a2")

    def test_a_subscription_whatever_the_row_is_by_now(self, monkeypatch):
        def careless(self, connection, chat, subscription):
            return subscribe(self, self.tables.connections["c1="], chat, subscription)

        subscribe = SimulatedChats.subscribe
        monkeypatch.setattr(SimulatedChats, "subscribe", careless)
        assert "it hears a chat that it is not in" in self.finds("join a2", "leave")

    def test_a_row_without_its_subscription(self, monkeypatch):
        monkeypatch.setattr(SimulatedConnections, "_resubscribe", lambda *_: None)
        assert "it hears a chat that it is not in" in self.finds("leave", "ping")
