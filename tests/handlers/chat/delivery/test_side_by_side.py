"""Work side by side: how much at once, how much in a second, and when it ends."""

from threading import Barrier

import pytest

from handlers.chat.concurrency import Runtime
from handlers.chat.delivery.side_by_side import Pace, SideBySide
from tests.support.runtime import FakeRuntime
from tests.support.waiting import HANGS


def run(count, work=lambda item: None, *, at_once=4, per_second=1e9, go_on=lambda: True, runtime=None):
    return SideBySide(range(count), work, Pace(at_once, per_second), go_on, runtime or Runtime()).run()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 50])
def test_each_item_is_done_once(count):
    done = []
    assert run(count, done.append) == count
    assert sorted(done) == list(range(count))


def test_as_many_are_done_at_once_as_the_pace_says():
    together = Barrier(4, timeout=HANGS)
    assert run(8, lambda item: together.wait()) == 8


def test_one_item_takes_no_thread():
    class Alone(Runtime):
        def start(self, work, name):
            raise AssertionError

    assert run(1, runtime=Alone()) == 1


def test_items_begin_at_the_pace():
    times = []
    time = FakeRuntime(monotonic=lambda: 0.0, sleep=times.append)
    run(5, per_second=10, at_once=1, runtime=time)
    assert times == pytest.approx([0.1, 0.2, 0.3, 0.4])  # the clock stands still, so each waits for its own moment


def test_a_pause_is_not_made_up_for():
    class Time:
        now = 0.0

        def passes(self, seconds):
            self.now += seconds

    time, begun = Time(), []

    def work(item):
        begun.append(round(time.now, 3))
        time.passes(1 if item == 1 else 0)

    runtime = FakeRuntime(monotonic=lambda: time.now, sleep=time.passes)
    run(4, work, per_second=10, at_once=1, runtime=runtime)
    assert begun == [0, 0.1, 1.1, 1.2]


def test_no_item_begins_when_the_time_is_up_and_those_done_are_the_first_ones():
    done = []
    assert run(50, done.append, go_on=lambda: len(done) < 10, at_once=1) == 10
    assert done == list(range(10))


def test_one_item_is_done_even_without_time():
    assert run(5, go_on=lambda: False) == 1


def test_the_first_failure_is_raised_and_ends_the_rest():
    done = []

    def work(item):
        if item == 3:
            raise ValueError(item)
        done.append(item)

    with pytest.raises(ValueError, match="3"):
        run(1_000, work, at_once=1)
    assert done == [0, 1, 2]
