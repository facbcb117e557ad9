"""Frames per second of a connection, as one environment counts them."""

from collections import Counter
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.errors import ErrorCode
from handlers.chat.limits.frame_rate import MOST_CONNECTIONS, Floods, Verdict
from tests.support.clock import SettableTime


@pytest.fixture
def clock():
    return SettableTime()


@pytest.fixture
def floods(clock):
    return Floods(10, clock)


def verdicts(floods, number, name="c1="):
    return [floods.judge(name).verdict for _ in range(number)]


def test_five_seconds_worth_passes_at_once(floods):
    assert verdicts(floods, 51) == [Verdict.PASS] * 50 + [Verdict.REFUSE]


def test_ten_a_second_pass_for_ever(floods, clock):
    for _ in range(1_000):
        clock.now += 0.1001
        assert verdicts(floods, 1) == [Verdict.PASS]


def test_a_refusal_is_told_once_a_second(floods, clock):
    assert Counter(verdicts(floods, 70))[Verdict.REFUSE] == 1
    clock.now += 0.9
    assert verdicts(floods, 2) == [Verdict.DROP] * 2
    clock.now += 0.2
    assert verdicts(floods, 2) == [Verdict.REFUSE, Verdict.DROP]


def test_a_frame_after_the_told_wait_passes(floods, clock):
    verdicts(floods, 50 + 30)
    clock.now += 1.1
    told = floods.judge("c1=")
    assert told.verdict is Verdict.REFUSE
    clock.now += told.retry_after
    assert verdicts(floods, 1) == [Verdict.PASS]


def test_a_connection_that_goes_on_is_closed_once_and_then_ignored(floods, clock):
    counted = Counter(verdicts(floods, 500))
    assert counted == {Verdict.PASS: 50, Verdict.REFUSE: 1, Verdict.DROP: 500 - 50 - 1 - 1, Verdict.CLOSE: 1}
    clock.now += 3600
    assert verdicts(floods, 3) == [Verdict.DROP] * 3


def test_a_hundred_refused_frames_do_not_close_the_connection(floods):
    assert Verdict.CLOSE not in verdicts(floods, 50 + 100)
    assert verdicts(floods, 1) == [Verdict.CLOSE]


def test_each_connection_counts_for_itself(floods):
    verdicts(floods, 500)
    assert verdicts(floods, 50, "c2=") == [Verdict.PASS] * 50


def test_a_clock_that_is_put_back_refuses_nobody_for_long(floods, clock):
    verdicts(floods, 50)
    clock.now -= 3600
    assert verdicts(floods, 50) == [Verdict.PASS] * 50


def test_off_is_off():
    assert verdicts(Floods(0), 10_000) == [Verdict.PASS] * 10_000


def test_the_number_of_remembered_connections_is_bounded(floods):
    for number in range(MOST_CONNECTIONS + 100):
        floods.judge(f"c{number}=")
    assert len(floods._paces) == MOST_CONNECTIONS


def test_threads_count_together(floods):
    passed = []
    threads = [Thread(target=lambda: passed.extend(verdicts(floods, 30))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(passed)[Verdict.PASS] == 50
    assert Counter(passed)[Verdict.CLOSE] == 1


@given(rate=st.integers(1, 20), pauses=st.lists(st.floats(0, 2), max_size=300))
def test_never_more_passes_than_the_burst_and_the_rate(rate, pauses):
    clock = SettableTime()
    floods, passed = Floods(rate, clock), []
    for pause in pauses:
        clock.now += pause
        if floods.judge("c1=").verdict is Verdict.PASS:
            passed.append(clock.now)
    for first, start in enumerate(passed):
        assert len(passed) - first <= 5 * rate + (passed[-1] - start) * rate + 1e-3


def test_the_refusal_names_the_limit(floods):
    refusal = floods.refusal(2)
    assert (refusal.code, refusal.retry_after) == (ErrorCode.RATE_LIMITED, 2)
    assert refusal.message == "No more than 10 frames a second"
