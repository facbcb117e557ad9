"""A device that joins a chat while another one sends a message there, in every interleaving of their calls.

The device sees the message: in the chat that it is shown, or as a frame after that.
"""

from __future__ import annotations

from dataclasses import replace

from tests.faults.seeds import seed_bug
from tests.faults.simulation.interleaving import interleave, schedules
from tests.faults.simulation.services import SimulatedTurns
from tests.faults.simulation.two_devices import TwoDevices


def outcomes(join_before):
    """Run every interleaving, and return what became of each."""
    found = []
    for choose in schedules():
        two = TwoDevices()
        if join_before:
            two.join("c2=")
        interleave([two.message, lambda two=two: two.join("c2=")], choose, lambda: None)
        assert (two.codes, two.workers) == ([], 1)
        found.append(two.sights())
    return found


def test_a_device_that_joins_sees_the_message_once():
    found = outcomes(join_before=False)
    assert len(found) > 100
    assert set(found) == {1}


def test_a_device_that_joins_again_does_not_miss_it():
    assert min(outcomes(join_before=True)) == 1


def test_this_finds_a_message_that_is_stored_whoever_has_joined(monkeypatch):
    def careless(accept):
        def call(self, chat, message, turn, change=None, fork=None):
            joins = self.tables.chats[chat.user_id, chat.chat_id].joins
            return accept(self, replace(chat, joins=joins), message, turn, change, fork)

        return call

    seed_bug(monkeypatch, SimulatedTurns, "accept", careless)
    assert set(outcomes(join_before=False)) == {0, 1}
