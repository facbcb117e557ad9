"""The clock that a test puts ahead, in a running event loop."""

import asyncio

import pytest
from parley.clock import Clock, Loading, MovableClock

LONG = 3600.0
"""Longer than any test: what is due then happens only because the clock was moved."""


@pytest.fixture
def clock():
    return MovableClock()


async def test_what_is_due_happens_in_its_order(clock):
    happened = []
    for seconds in (3 * LONG, LONG, 2 * LONG):
        clock.call_later(seconds, lambda seconds=seconds: happened.append(seconds))
    await clock.advance(2 * LONG)
    assert happened == [LONG, 2 * LONG]
    await clock.advance(LONG)
    assert happened == [LONG, 2 * LONG, 3 * LONG]


async def test_each_sees_the_time_at_which_it_is_due(clock):
    began, seen = clock.time(), []
    clock.call_later(LONG, lambda: seen.append(clock.time() - began))
    await clock.advance(10 * LONG)
    assert LONG <= seen[0] < 10 * LONG
    assert clock.time() - began >= 10 * LONG


async def test_what_follows_happens_if_it_is_due_too(clock):
    happened = []

    async def work():
        for number in range(5):
            await clock.sleep(LONG)
            happened.append(number)

    task = asyncio.create_task(work())
    await clock.advance(3 * LONG + 1)
    assert happened == [0, 1, 2]
    task.cancel()


async def test_work_has_the_time_of_the_machine(clock):
    work = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(clock.within(LONG, work))
    await clock.advance(2 * LONG)
    assert not waiting.done()
    work.set_result(None)
    assert await waiting
    assert not await clock.within(0.001, asyncio.get_running_loop().create_future())


async def test_what_was_cancelled_does_not_happen(clock):
    happened = []
    clock.call_later(LONG, lambda: happened.append("kept"))
    clock.call_later(LONG, lambda: happened.append("dropped")).cancel()
    await clock.advance(LONG)
    assert happened == ["kept"]


async def test_without_being_moved_it_is_the_machines(clock):
    done = asyncio.Event()
    clock.call_later(0.001, done.set)
    await done.wait()
    assert clock.ahead == 0


async def test_what_is_not_due_yet_comes_sooner_by_what_has_passed(clock):
    done = asyncio.Event()
    clock.call_later(LONG, done.set)
    await clock.advance(LONG - 0.001)
    await done.wait()


async def test_after_a_reset_what_waits_has_its_whole_time(clock):
    happened = []
    await clock.advance(LONG)
    clock.call_later(LONG, lambda: happened.append("late"))
    clock.reset()
    assert clock.ahead == 0
    await clock.advance(LONG)
    assert happened == []
    await clock.advance(LONG)
    assert happened == ["late"]


def test_loads_take_the_time_in_which_they_run():
    now = [100.0]
    loading = Loading(lambda: now[0])
    for seconds in (1.0, 2.0):
        with loading:
            now[0] += seconds
            assert loading.seconds() in (1.0, 3.0)
        now[0] += 10.0
    assert loading.seconds() == 3.0


@pytest.mark.parametrize("make", [Clock, MovableClock])
async def test_a_limit_waits_for_a_load_and_has_its_own_time_as_well(make):
    clock, work = make(), asyncio.get_running_loop().create_future()
    with clock.loading:
        waiting = asyncio.create_task(clock.within(0.01, work))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert not await waiting


async def test_the_movable_clock_knows_the_loads_of_the_machines():
    machine = Clock()
    assert MovableClock(machine).loading is machine.loading
