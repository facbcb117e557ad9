"""Deltas that come close together are handed over together, and none is kept back for long."""

import asyncio
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.replies.deltas import Delta
from handlers.chat.replies.gathering import Gather, Gathering
from handlers.chat.settings import Pace

NEVER = 1e6
"""Seconds that do not pass here."""


def deltas(number):
    return [Delta(str(each)) for each in range(number)]


def handed(rule, number):
    """Return what is handed over when so many deltas come at once, and then the end."""

    async def gather():
        times: list[list[Delta]] = []
        gathering = Gathering(rule, times.append)
        for delta in deltas(number):
            gathering.add(delta)
        gathering.flush()
        return times

    return asyncio.run(gather())


def test_the_first_ones_go_at_once_and_the_others_together():
    assert [len(each) for each in handed(Gather(NEVER, at_once=3), 8)] == [1, 1, 1, 5]


def test_without_a_time_nothing_is_gathered():
    assert [len(each) for each in handed(Gather(), 8)] == [1] * 8


@given(st.integers(0, 20), st.integers(0, 20), st.sampled_from([0.0, 1e-9, NEVER]))
def test_all_of_them_come_once_and_in_order(number, at_once, seconds):
    assert list(chain.from_iterable(handed(Gather(seconds, at_once), number))) == deltas(number)


def test_one_that_no_other_follows_goes_alone():
    async def gather():
        changed = asyncio.Event()
        times: list[list[Delta]] = []
        gathering = Gathering(Gather(0.05, at_once=1), lambda some: (times.append(some), changed.set()))
        first, last = deltas(2)
        gathering.add(first)
        changed.clear()
        gathering.add(last)
        await changed.wait()
        return times

    assert asyncio.run(gather()) == [[Delta("0")], [Delta("1")]]


@pytest.mark.parametrize(("first", "seconds"), [(0.05, 0.025), (0.0, 0.0)])
def test_it_takes_half_of_the_relays_pace_after_the_frames_that_have_none(first, seconds):
    assert Gather.of(Pace(first, 0.1, 4, unpaced_frames=7)) == Gather(seconds, 7)
