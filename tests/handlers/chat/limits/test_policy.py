"""The limits of a user, on plain values."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.errors import ErrorCode, Misconfigured, Refused
from handlers.chat.limits import policy
from handlers.chat.limits.policy import SECOND, Bucket, Limits, QuotaUsage, microseconds, use_message
from handlers.chat.records import Usage
from handlers.chat.settings import Settings

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def refused(call, *arguments):
    with pytest.raises(Refused) as refusal:
        call(*arguments)
    assert refusal.value.code is ErrorCode.RATE_LIMITED
    return refusal.value.message, refusal.value.retry_after


def send(spent, allowed, *moments):
    """Spend where that may be. Returns what is spent, and whether each passed."""
    passed = []
    for moment in moments:
        try:
            spent = use_message(spent, allowed, at(moment))
            passed.append(True)
        except Refused:
            passed.append(False)
    return spent, passed


class TestABucket:
    @given(
        size=st.integers(1, 50),
        per_second=st.integers(1, 100),
        pauses=st.lists(st.integers(0, 3 * SECOND), max_size=200),
    )
    def test_never_lets_more_through_than_its_size_and_what_came_since(self, size, per_second, pauses):
        bucket, full_at, now, taken = Bucket.of(size, per_second, SECOND), 0, 10**15, []
        for pause in pauses:
            now += pause
            if not bucket.wait(full_at, now):
                full_at = bucket.take(full_at, now)
                taken.append(now)
        for first, start in enumerate(taken):
            for last in range(first, len(taken)):
                assert last - first + 1 <= size + (taken[last] - start) * per_second / SECOND

    @given(size=st.integers(1, 60_000), per_second=st.integers(1, 60_000))
    def test_that_is_full_gives_all_its_tokens_at_once_and_no_more(self, size, per_second):
        bucket = Bucket.of(size, per_second, SECOND)
        before_the_last = 10**15 + (size - 1) * bucket.interval
        assert bucket.wait(before_the_last, 10**15) == 0
        assert bucket.wait(bucket.take(before_the_last, 10**15), 10**15) == bucket.interval

    @given(full_at=st.integers(0, 10**7), per_second=st.integers(1, 100))
    def test_has_a_token_after_the_wait_that_it_tells_and_not_before(self, full_at, per_second):
        bucket = Bucket.of(3, per_second, SECOND)
        wait = bucket.wait(full_at, 0)
        assert bucket.wait(full_at, wait) == 0
        assert wait == 0 or bucket.wait(full_at, wait - 1) == 1


class TestMessagesPerMinute:
    allowed = Limits(messages_per_minute=20)

    def test_a_burst_passes_and_then_one_in_three_seconds(self):
        spent, passed = send(QuotaUsage(), self.allowed, *[0] * 25)
        assert passed == [True] * 20 + [False] * 5
        _, passed = send(spent, self.allowed, 2.9, 3, 3, 5.9, 6)
        assert passed == [False, True, False, False, True]

    def test_a_refusal_says_how_long_to_wait_and_that_is_enough(self):
        spent, _ = send(QuotaUsage(), self.allowed, *[0] * 20)
        assert refused(use_message, spent, self.allowed, at(0.5)) == ("No more than 20 messages a minute", 3)
        assert send(spent, self.allowed, 0.5 + 3)[1] == [True]

    def test_a_clock_that_was_wrong_locks_nobody_out_and_gives_no_burst(self):
        spent = QuotaUsage("2026-11-23", 1, full_at=microseconds(at(86_400)))
        assert send(spent, self.allowed, 0, 0, 3, 3)[1] == [True, False, True, False]

    @given(
        rate=st.integers(1, 100),
        pauses=st.lists(st.integers(0, 20_000), max_size=60),
        skews=st.lists(st.integers(-300, 300), max_size=60),
    )
    def test_nobody_waits_longer_than_two_minutes_for_a_clock_that_is_wrong(self, rate, pauses, skews):
        spent, moment, allowed = QuotaUsage(), 0.0, Limits(messages_per_minute=rate)
        for pause, skew in zip(pauses, skews, strict=False):
            moment += pause / 1000
            spent, _ = send(spent, allowed, moment + skew)
        assert any(send(spent, allowed, moment, moment + 120)[1])


class TestMessagesPerDay:
    allowed = Limits(messages_per_day=2)

    def test_they_are_counted_until_midnight_utc(self):
        spent, passed = send(QuotaUsage(), self.allowed, 0, 1, 2)
        assert passed == [True, True, False]
        assert refused(use_message, spent, self.allowed, at(2)) == ("No more than 2 messages a day", 43_198)
        tomorrow, passed = send(spent, self.allowed, 43_199.5, 43_200)
        assert passed == [False, True]
        assert (tomorrow.day, tomorrow.messages) == ("2026-11-24", 1)

    def test_a_clock_that_lags_does_not_bring_yesterday_back(self):
        today, _ = send(QuotaUsage(), self.allowed, 43_200, 43_200)
        assert send(today, self.allowed, 43_199)[1] == [False]

    def test_with_both_limits_the_longer_wait_is_told(self):
        both = Limits(messages_per_minute=2, messages_per_day=2)
        spent, _ = send(QuotaUsage(), both, 0, 0)
        assert refused(use_message, spent, both, NOON)[1] == 43_200


@given(moments=st.lists(st.integers(0, 3 * 86_400), max_size=30))
def test_usage_never_has_the_same_value_twice(moments):
    spent, seen = QuotaUsage(), {("", 0)}
    for moment in moments:
        spent = use_message(spent, Limits(), at(moment))
        assert (spent.day, spent.messages) not in seen
        seen.add((spent.day, spent.messages))


class TestTokens:
    def test_the_day_ends_with_the_last_one(self):
        allowed = Limits(tokens_per_day=100)
        policy.check_tokens(99, allowed, NOON)
        told = refused(policy.check_tokens, 100, allowed, NOON)
        assert told == ("No more than 100 tokens of the model a day", 43_200)

    @pytest.mark.parametrize(
        ("usage", "characters", "tokens"),
        [(Usage(prompt_tokens=7, completion_tokens=3), 9_000, 10), (None, 0, 0), (None, 1, 1), (None, 300, 100)],
    )
    def test_they_are_the_servers_count_or_a_third_of_the_characters(self, usage, characters, tokens):
        assert policy.tokens_of(usage, characters) == tokens


def test_places_are_for_so_many_replies():
    allowed = Limits(concurrent_replies=3)
    policy.check_slots(2, allowed)
    assert refused(policy.check_slots, 3, allowed) == ("No more than 3 replies at once", 5)


@pytest.mark.parametrize(
    "moment", [NOON, NOON.replace(microsecond=1), datetime(2026, 11, 23, 23, 59, 59, 999_999, tzinfo=UTC)]
)
def test_midnight_is_ahead_and_at_most_a_day(moment):
    assert 1 <= policy.until_midnight(moment) <= 86_400
    assert (moment + timedelta(seconds=policy.until_midnight(moment))).date() > moment.date()


class TestSettings:
    def test_a_person_typing_does_not_reach_the_defaults(self):
        assert Settings.of({}).limits == Limits(
            messages_per_minute=20,
            connections_per_user=20,
            concurrent_replies=3,
            frames_per_second=10,
            requests_per_minute=120,
            chats_per_user=5_000,
        )

    @pytest.mark.parametrize("value", ["-1", "1.5", "many", "60001"])
    def test_an_invalid_limit_is_refused_at_the_start(self, value):
        with pytest.raises(Misconfigured, match="MESSAGES_PER_MINUTE"):
            Settings.of({"MESSAGES_PER_MINUTE": value})
