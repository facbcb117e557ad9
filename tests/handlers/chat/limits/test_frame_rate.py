"""Frames per second of a connection, as one environment counts them."""

from collections import Counter
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.concurrency import Runtime
from handlers.chat.errors import ErrorCode
from handlers.chat.limits.frame_rate import MAX_CONNECTIONS, FrameRateLimiter, FrameVerdict
from tests.support.clock import SettableTime
from tests.support.runtime import FakeRuntime


@pytest.fixture
def clock():
    return SettableTime()


@pytest.fixture
def limiter(clock):
    return FrameRateLimiter(10, FakeRuntime(clock))


def verdicts(limiter, number, name="c1="):
    return [limiter.decide(name).verdict for _ in range(number)]


def test_five_seconds_worth_passes_at_once(limiter):
    assert verdicts(limiter, 51) == [FrameVerdict.PASS] * 50 + [FrameVerdict.REFUSE]


def test_ten_a_second_pass_for_ever(limiter, clock):
    for _ in range(1_000):
        clock.now += 0.1001
        assert verdicts(limiter, 1) == [FrameVerdict.PASS]


def test_a_refusal_is_told_once_a_second(limiter, clock):
    assert Counter(verdicts(limiter, 70))[FrameVerdict.REFUSE] == 1
    clock.now += 0.9
    assert verdicts(limiter, 2) == [FrameVerdict.DROP] * 2
    clock.now += 0.2
    assert verdicts(limiter, 2) == [FrameVerdict.REFUSE, FrameVerdict.DROP]


def test_a_frame_after_the_told_wait_passes(limiter, clock):
    verdicts(limiter, 50 + 30)
    clock.now += 1.1
    told = limiter.decide("c1=")
    assert told.verdict is FrameVerdict.REFUSE
    clock.now += told.retry_after
    assert verdicts(limiter, 1) == [FrameVerdict.PASS]


def test_a_connection_that_goes_on_is_closed_once_and_then_ignored(limiter, clock):
    counted = Counter(verdicts(limiter, 500))
    assert counted == {
        FrameVerdict.PASS: 50,
        FrameVerdict.REFUSE: 1,
        FrameVerdict.DROP: 500 - 50 - 1 - 1,
        FrameVerdict.CLOSE: 1,
    }
    clock.now += 3600
    assert verdicts(limiter, 3) == [FrameVerdict.DROP] * 3


def test_a_hundred_refused_frames_do_not_close_the_connection(limiter):
    assert FrameVerdict.CLOSE not in verdicts(limiter, 50 + 100)
    assert verdicts(limiter, 1) == [FrameVerdict.CLOSE]


def test_each_connection_counts_for_itself(limiter):
    verdicts(limiter, 500)
    assert verdicts(limiter, 50, "c2=") == [FrameVerdict.PASS] * 50


def test_a_clock_that_is_put_back_refuses_nobody_for_long(limiter, clock):
    verdicts(limiter, 50)
    clock.now -= 3600
    assert verdicts(limiter, 50) == [FrameVerdict.PASS] * 50


def test_off_is_off():
    assert verdicts(FrameRateLimiter(0, Runtime()), 10_000) == [FrameVerdict.PASS] * 10_000


def test_the_number_of_remembered_connections_is_bounded(limiter):
    for number in range(MAX_CONNECTIONS + 100):
        limiter.decide(f"c{number}=")
    assert len(limiter._states) == MAX_CONNECTIONS


def test_threads_count_together(limiter):
    passed = []
    threads = [Thread(target=lambda: passed.extend(verdicts(limiter, 30))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(passed)[FrameVerdict.PASS] == 50
    assert Counter(passed)[FrameVerdict.CLOSE] == 1


@given(rate=st.integers(1, 20), pauses=st.lists(st.floats(0, 2), max_size=300))
def test_never_more_passes_than_the_burst_and_the_rate(rate, pauses):
    clock = SettableTime()
    limiter, passed = FrameRateLimiter(rate, FakeRuntime(clock)), []
    for pause in pauses:
        clock.now += pause
        if limiter.decide("c1=").verdict is FrameVerdict.PASS:
            passed.append(clock.now)
    for first, start in enumerate(passed):
        assert len(passed) - first <= 5 * rate + (passed[-1] - start) * rate + 1e-3


def test_the_refusal_names_the_limit(limiter):
    refusal = limiter.refusal(2)
    assert (refusal.code, refusal.retry_after) == (ErrorCode.RATE_LIMITED, 2)
    assert refusal.message == "No more than 10 frames a second"
