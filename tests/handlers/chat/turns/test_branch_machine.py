"""Edits, replies made anew and selections in any order that Hypothesis finds: the chat is the tree it should be."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from handlers.chat.records import FinishReason
from tests.faults.simulation.store import SimulatedStore
from tests.support.branching import BranchedChat, Operation

DEVICES = st.sampled_from(["c1=", "c2="])
KINDS = st.sampled_from(["message", "edit", "edit", "regenerate", "select", "select"])
PLACES = st.integers(0, 30)


def operation_of(branched, kind, place):
    """Return an operation about one of the chat's messages, or about one that is not there."""
    known = [*sorted(branched.tree.parents), "m9999"]
    return Operation(kind, known[place % len(known)])


class BranchMachine(RuleBasedStateMachine):
    """Two devices in one chat."""

    @initialize()
    def begin(self):
        self.branched = BranchedChat(SimulatedStore())

    @rule(device=DEVICES)
    def say(self, device):
        self.branched.does(device, Operation("message"))

    @rule(device=DEVICES, kind=KINDS, place=PLACES)
    def do(self, device, kind, place):
        self.branched.does(device, operation_of(self.branched, kind, place))

    @precondition(lambda self: self.branched.running is not None)
    @rule(reason=st.sampled_from([FinishReason.STOP, FinishReason.CANCELLED]))
    def finish(self, reason):
        self.branched.finish(reason)

    @precondition(lambda self: self.branched.running is None)
    @rule(one=KINDS, other=KINDS, places=st.tuples(PLACES, PLACES), at=st.integers(0, 9), finishes=st.booleans())
    def race(self, one, other, places, at, finishes):
        first, second = (operation_of(self.branched, *each) for each in zip((one, other), places, strict=True))
        self.branched.races(first, second, at, finishes=finishes)

    @invariant()
    def the_chat_is_the_tree(self):
        if hasattr(self, "branched"):
            self.branched.check()


TestBranches = BranchMachine.TestCase
TestBranches.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("seed", range(2))
def test_so_it_is_in_dynamodb(store, seed):
    random, branched = Random(seed), BranchedChat(store)
    for _ in range(16):
        kind = random.choice(["message", "message", "edit", "regenerate", "select"])
        branched.does(random.choice(["c1=", "c2="]), operation_of(branched, kind, random.randrange(30)))
        if branched.running is not None:
            branched.finish()
    branched.check()
    assert branched.chat.branches
