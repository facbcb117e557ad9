"""Pools: the environment that takes an event, and how many environments start at the same time."""

import asyncio

import pytest
from parley.functions.machine import available_mb, most_environments
from parley.functions.pool import Starts

from tests.support.clock import ManualClock, settle
from tests.support.environments import StubPool


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def starts(clock):
    return Starts(clock, limit=2)


@pytest.fixture
def pool(starts, clock):
    return StubPool(starts, clock)


async def test_only_so_many_environments_start_at_the_same_time(pool):
    await pool.put("1", "2", "3", "4")
    assert pool.handled() == [["1"], ["2"]]
    await pool.start(0)
    assert pool.handled() == [["1"], ["2"], ["3"]]


async def test_an_event_that_waits_for_a_start_takes_an_environment_that_becomes_free(pool):
    await pool.put("1", "2", "3", "4")
    await pool.start(0)
    await pool.end(0)
    assert pool.handled() == [["1", "4"], ["2"], ["3"]]


async def test_a_start_that_takes_longer_than_a_second_does_not_hold_up_others(pool, clock):
    await pool.put("1", "2", "3")
    await clock.advance(1)
    assert pool.handled() == [["1"], ["2"], ["3"]]


async def test_the_end_of_a_start_counts_once(pool, clock):
    await pool.put("1", "2", "3", "4", "5")
    await clock.advance(1)
    assert len(pool.made) == 4
    await pool.start(0)
    await pool.start(1)
    assert len(pool.made) == 4
    await pool.start(2)
    assert len(pool.made) == 5


async def test_functions_start_in_the_order_in_which_they_asked(starts, clock):
    one, other = StubPool(starts, clock), StubPool(starts, clock)
    await one.put("1", "2", "3")
    await other.put("4")
    await one.start(0)
    assert (len(one.made), len(other.made)) == (3, 0)
    await one.start(1)
    assert (len(one.made), len(other.made)) == (3, 1)


async def test_events_are_handled_in_their_order(starts, clock):
    pool = StubPool(starts, clock, size=1)
    await pool.put("1", "2", "3")
    await pool.start(0)
    for _ in range(3):
        await pool.end(0)
    assert pool.handled() == [["1", "2", "3"]]
    assert [task.result() for task in pool.events.values()] == ["1", "2", "3"]


async def test_a_cancelled_event_gives_up_its_place(starts, clock):
    pool = StubPool(starts, clock, size=1)
    await pool.put("1", "2", "3")
    pool.events["2"].cancel()
    await settle()
    await pool.start(0)
    await pool.end(0)
    assert pool.handled() == [["1", "3"]]


async def test_when_memory_is_short_one_idle_environment_stays(pool):
    await pool.put("1", "2")
    for number in (0, 1):
        await pool.start(number)
        await pool.end(number)
    pool.pool.end_spare()
    assert [each.ended for each in pool.made] == [True, False]


def test_this_machines_memory_allows_some_environments():
    assert available_mb() > 0
    assert 10 <= most_environments() <= 50


async def test_after_a_change_no_environment_of_before_gets_an_event(pool):
    await pool.put("1", "2")
    await pool.start(0)
    await pool.start(1)
    await pool.end(0)
    pool.pool.renew()
    assert [each.ended for each in pool.made] == [True, False]
    await pool.put("3")
    assert pool.handled() == [["1"], ["2"], ["3"]]
    await pool.end(1)
    assert [each.ended for each in pool.made] == [True, True, False]
    await pool.start(2)
    await pool.end(2)
    await pool.put("4")
    assert pool.handled() == [["1"], ["2"], ["3", "4"]]


async def test_a_start_ahead_of_the_next_event_waits_for_the_start_that_an_event_has_begun(pool):
    await pool.put("1")
    ahead = asyncio.create_task(pool.warm())
    await settle()
    assert len(pool.made) == 1
    await pool.start(0)
    assert await ahead is None
    assert await pool.warm() is None  # though its event goes on
    assert pool.handled() == [["1"]]


async def test_a_try_leaves_no_environment_unless_an_event_waits(starts, clock):
    pool = StubPool(starts, clock, size=1)
    trying = asyncio.create_task(pool.warm(stays=False))
    await settle()
    await pool.start(0)
    assert await trying is None
    assert pool.made[0].ended
    trying = asyncio.create_task(pool.warm(stays=False))
    await pool.put("1")
    await pool.start(1)
    await trying
    await pool.end(1)
    assert (pool.handled(), pool.made[1].ended) == ([[], ["1"]], False)


async def test_one_that_busy_environments_leave_no_room_for_waits_for_the_end_of_one(starts, clock):
    pool = StubPool(starts, clock, size=1)
    await pool.put("1")
    await pool.start(0)
    pool.pool.renew()
    await pool.put("2")
    assert pool.handled() == [["1"]]
    await pool.end(0)
    assert pool.handled() == [["1"], ["2"]]
