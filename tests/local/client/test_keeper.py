"""Duties of a connection that depend on time."""

from dataclasses import replace

import pytest
from parley.client.frames import Frame
from parley.client.keeper import Duty, Keeper, Needs
from parley.client.timing import Timing

TIMING = Timing()
IDLE = Needs()
REPLYING = Needs(busy=True, replying=True)
NOW = 1_795_000_000.0
GREETING = Frame("connected", {"serverTime": "2026-11-26T12:00:00.000Z", "reconnectBefore": "2026-11-26T13:50:00.000Z"})
SERVER = 1_795_694_400.0
"""The time of the greeting. The machine's own clock, `NOW`, is a week behind."""


@pytest.fixture
def keeper():
    return Keeper(TIMING, 0.0)


def heard(keeper, at, kind="pong"):
    keeper.heard(Frame(kind), at, NOW + at)


class TestPings:
    def test_an_idle_connection_pings_every_five_minutes(self, keeper):
        assert keeper.duties(IDLE, 299, NOW) == []
        assert keeper.duties(IDLE, 300, NOW) == [Duty.PING]
        heard(keeper, 300)
        assert keeper.duties(IDLE, 305, NOW) == []

    def test_while_a_reply_is_to_come_each_tick_pings(self, keeper):
        assert [keeper.duties(REPLYING, at, NOW) for at in (5, 10)] == [[Duty.PING]] * 2

    def test_a_server_that_answers_no_ping_is_left(self, keeper):
        keeper.duties(REPLYING, 5, NOW)
        assert Duty.LEAVE not in keeper.duties(Needs(busy=True), 35, NOW)
        assert keeper.duties(REPLYING, 36, NOW) == [Duty.LEAVE]

    def test_any_frame_answers(self, keeper):
        keeper.duties(REPLYING, 5, NOW)
        keeper.heard(None, 6, NOW)
        assert keeper.duties(REPLYING, 36, NOW) != [Duty.LEAVE]


class TestAReply:
    def test_after_half_a_minute_without_a_frame_of_it_the_chat_is_joined_again(self, keeper):
        for at in range(5, 30, 5):
            assert Duty.REJOIN not in keeper.duties(REPLYING, at, NOW)
            heard(keeper, at)
        assert Duty.REJOIN in keeper.duties(REPLYING, 30, NOW)
        heard(keeper, 30)
        assert Duty.REJOIN not in keeper.duties(REPLYING, 35, NOW)

    def test_a_piece_of_it_begins_the_time_anew(self, keeper):
        heard(keeper, 20, "assistant_message_token")
        assert Duty.REJOIN not in keeper.duties(REPLYING, 30, NOW)

    def test_a_reply_that_waits_for_the_user_is_not_waited_for(self, keeper):
        keeper.duties(IDLE, 1000, NOW)
        assert Duty.REJOIN not in keeper.duties(REPLYING, 1005, NOW)


def test_a_request_without_an_answer_is_sent_again_after_half_a_minute(keeper):
    asking = Needs(busy=True, request_id="q1")
    assert Duty.RESEND not in keeper.duties(asking, 5, NOW)
    heard(keeper, 5)
    assert Duty.RESEND in keeper.duties(asking, 35, NOW)
    heard(keeper, 35)
    assert Duty.RESEND not in keeper.duties(asking, 60, NOW)
    assert Duty.RESEND not in keeper.duties(replace(asking, request_id="q2"), 66, NOW)


class TestHandOver:
    """By the server's clock alone: this machine's is wrong."""

    def test_it_is_due_when_the_greeting_says(self, keeper):
        keeper.heard(GREETING, 1, NOW)
        assert Duty.HAND_OVER not in keeper.duties(IDLE, 6600, NOW)
        assert keeper.duties(IDLE, 6601, NOW) == [Duty.HAND_OVER]

    def test_chance_spreads_clients_over_a_minute(self):
        keeper = Keeper(TIMING, 0.0, chance=1.0)
        keeper.heard(GREETING, 0, NOW)
        assert Duty.HAND_OVER not in keeper.duties(IDLE, 6539, NOW)
        heard(keeper, 6539)
        assert keeper.duties(IDLE, 6540, NOW) == [Duty.HAND_OVER]

    def test_one_that_fails_is_tried_again_at_the_next_tick(self, keeper):
        keeper.heard(GREETING, 0, NOW)
        keeper.postpone(6601)
        assert Duty.HAND_OVER not in keeper.duties(IDLE, 6602, NOW)
        heard(keeper, 6602)
        assert keeper.duties(IDLE, 6606, NOW) == [Duty.HAND_OVER]

    @pytest.mark.parametrize("greeting", [{}, {"serverTime": "soon"}, {"reconnectBefore": "2026-11-26T13:50:00Z"}])
    def test_a_greeting_without_times_asks_for_none(self, keeper, greeting):
        keeper.heard(Frame("connected", greeting), 0, NOW)
        assert keeper.duties(IDLE, 10_000, NOW) == [Duty.PING]


class TestTokens:
    def test_a_token_is_renewed_a_minute_before_its_end_by_the_server_s_clock(self, keeper):
        keeper.heard(GREETING, 0, NOW)
        keeper.has_token(SERVER + 600, NOW)
        assert Duty.RENEW not in keeper.duties(IDLE, 1, NOW + 539)
        assert Duty.RENEW in keeper.duties(IDLE, 1, NOW + 540)
        assert (keeper.has_expired(NOW + 599), keeper.has_expired(NOW + 600)) == (False, True)

    def test_a_short_one_after_half_of_its_time(self, keeper):
        keeper.has_token(NOW + 20, NOW)
        assert Duty.RENEW not in keeper.duties(IDLE, 1, NOW + 9)
        assert Duty.RENEW in keeper.duties(IDLE, 1, NOW + 10)

    def test_one_without_an_end_never(self, keeper):
        keeper.has_token(None, NOW)
        assert keeper.duties(IDLE, 1, NOW * 2) == []
        assert not keeper.has_expired(NOW * 2)
