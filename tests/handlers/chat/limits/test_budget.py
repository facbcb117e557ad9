"""The budget of the model's tokens, on plain values."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.errors import ErrorCode, Misconfigured, Refused
from handlers.chat.limits import budget
from handlers.chat.limits.budget import Reservation, TokenUse
from handlers.chat.limits.policy import Limits
from handlers.chat.settings import Settings

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LIMITS = Limits(tokens_per_day=100)


def reserved(tokens, seconds=900.0, now=NOON):
    return Reservation.of("m2#1", tokens, now, seconds)


class TestTheCheck:
    def wait(self, *used, now=NOON):
        with pytest.raises(Refused, match="No more than 100 tokens of the model a day") as refusal:
            budget.check(TokenUse(*used), LIMITS, now)
        assert refusal.value.code is ErrorCode.RATE_LIMITED
        return refusal.value.retry_after

    def test_the_day_ends_with_the_last_token(self):
        budget.check(TokenUse(99), LIMITS, NOON)
        assert self.wait(100) == 43_200

    def test_what_is_reserved_counts(self):
        budget.check(TokenUse(99, frozenset([reserved(50)])), LIMITS, NOON)
        assert self.wait(149, frozenset([reserved(50)])) == 5

    def test_a_reply_that_runs_is_waited_for_only_if_that_may_help(self):
        assert self.wait(150, frozenset([reserved(50)])) == 43_200

    def test_a_reservation_of_a_worker_that_must_be_over_is_final(self):
        left_behind = frozenset([reserved(100)])
        assert self.wait(100, left_behind, now=NOON + timedelta(seconds=899)) == 5
        assert self.wait(100, left_behind, now=NOON + timedelta(seconds=900)) == 43_200 - 900

    def test_a_reservation_belongs_to_the_day_on_which_it_begins(self):
        before_midnight = NOON + timedelta(hours=12, seconds=-1)
        assert reserved(1, now=before_midnight).day == "2026-11-23"
        assert reserved(1, now=before_midnight + timedelta(seconds=1)).day == "2026-11-24"


class TestEstimates:
    @given(texts=st.lists(st.text()))
    def test_are_never_less_than_one_token_for_each_byte(self, texts):
        """The most that byte-level tokenizers can make of a text, and the marks around each message."""
        size = sum(len(text.encode()) for text in texts)
        assert budget.estimate_prompt(texts) >= size + 8 * len(texts)
        assert sum(map(budget.estimate_text, texts)) == size

    @pytest.mark.parametrize(
        ("text", "tokens"),
        [("", 0), ("Hello", 5), ("Привет", 12), ("မင်္ဂလာပါ", 27), ("\U0001f469\u200d\U0001f680", 11)],
    )
    def test_are_the_bytes_and_not_the_characters(self, text, tokens):
        assert budget.estimate_text(text) == tokens


class TestTheLongestAnswer:
    def test_has_a_bound_by_default(self):
        assert Settings.of({}).max_completion_tokens == 4_096

    @pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "1000001"])
    def test_cannot_be_without_one(self, value):
        with pytest.raises(Misconfigured, match="MAX_COMPLETION_TOKENS"):
            Settings.of({"MAX_COMPLETION_TOKENS": value})
