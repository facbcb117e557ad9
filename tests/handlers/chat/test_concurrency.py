"""Two things at the same time."""

import time
from contextvars import ContextVar
from threading import Barrier

import pytest

from handlers.chat.concurrency import Runtime, side_by_side
from tests.faults.simulation.world import SimulatedWorld
from tests.support.waiting import HANGS

RUNTIME = Runtime()
VARIABLE = ContextVar("variable", default="")


class TestSideBySide:
    def test_both_run_at_once_and_both_results_come_back(self):
        barrier = Barrier(2)
        assert side_by_side(RUNTIME, lambda: (barrier.wait(HANGS), 1)[1], lambda: (barrier.wait(HANGS), 2)[1]) == (1, 2)

    def test_three_are_a_pair_and_one(self):
        assert side_by_side(RUNTIME, lambda: 1, lambda: side_by_side(RUNTIME, lambda: 2, lambda: None)) == (
            1,
            (2, None),
        )

    def test_the_thread_has_the_callers_context(self):
        token = VARIABLE.set("mine")
        try:
            assert side_by_side(RUNTIME, VARIABLE.get, VARIABLE.get) == ("mine", "mine")
        finally:
            VARIABLE.reset(token)

    @pytest.mark.parametrize("failing", ["here", "beside", "both"])
    def test_a_failure_is_raised_when_both_have_ended(self, failing):
        ended = []

        def work(name):
            time.sleep(0.05 if name != failing else 0)
            ended.append(name)
            if failing in (name, "both"):
                raise ValueError(name)

        with pytest.raises(ValueError, match="beside" if failing == "beside" else "here"):
            side_by_side(RUNTIME, lambda: work("here"), lambda: work("beside"))
        assert sorted(ended) == ["beside", "here"]

    def test_in_a_simulated_world_the_longer_one_decides(self):
        world = SimulatedWorld(1)
        process, results = world.process("any"), []
        for seconds in (1, 3):
            world.spawn(
                process,
                lambda seconds=seconds: results.append(
                    (side_by_side(process, lambda: world.sleep(seconds), lambda: world.sleep(2)), world.time)
                ),
            )
        world.run(10)
        assert [at for _, at in results] == [2, 3]
