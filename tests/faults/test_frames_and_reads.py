"""Frames and reads of a long reply, in virtual time: their numbers, their moments, and what late replicas do to it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from handlers.chat.records import FinishReason
from handlers.chat.replies import monitor
from handlers.chat.turns.join import LEAVING_SECONDS
from infra.capacity.model import Design, Use, a_turn
from tests.faults.simulation.long_reply import LongReply
from tests.faults.simulation.services import SimulatedFaults

LATE = SimulatedFaults(replica_late=1.0)


@pytest.fixture
def reply(monkeypatch):
    return lambda *arguments, **more: LongReply(monkeypatch, *arguments, **more)


def test_five_hundred_tokens_take_at_most_eighty_frames(reply):
    posts = reply(seconds=6).run().posts["a="]
    kinds = [text.split(b'"')[3] for _, text in posts]
    assert (kinds[0], kinds[-1]) == (b"assistant_message_start", b"assistant_message_complete")
    assert set(kinds[1:-1]) == {b"assistant_message_token"}
    assert len(posts) + 1 <= 80, "and the acknowledgement"
    frames = a_turn(Design(), Use()).frames - 2
    assert abs(len(posts) - frames) <= 2, "docs/scaling.md counts others"


def test_no_text_waits_longer_than_a_reader_notices(reply):
    moments = [at for at, text in reply(seconds=10).run().posts["a="] if b"_start" not in text]
    gaps = [later - at for at, later in pairwise(moments)]
    # The pace, and half of the way of two posts: a simulated one takes up to 10 ms each way.
    assert max(gaps) <= 0.1 + 0.02
    assert max(gaps[:9]) <= 0.04
    assert moments[0] <= 1 + 0.1, "the first token is held"


def test_ten_seconds_take_ten_read_units(reply):
    assert reply(seconds=10).run().read_units <= 10


def test_a_longer_one_takes_four_in_five_seconds(reply):
    long, short = (reply(seconds=each).run(until=200).read_units for each in (110, 10))
    assert (long - short) / 100 <= 0.8


def test_late_replicas_cost_nothing_while_nothing_happens(reply):
    assert reply(faults=LATE, seconds=10).run().read_units <= 10


@pytest.mark.parametrize("moment", [number / 7 for number in range(1, 70)])
def test_a_cancel_is_honoured_in_time(reply, moment):
    running = reply(seed=moment, seconds=12)
    running.world.later(moment, running.cancel)
    running.run()
    assert running.reply.finish_reason is FinishReason.CANCELLED
    [end] = [at for at, text in running.posts["a="] if b"_complete" in text]
    assert end - moment <= 1.2


@pytest.mark.parametrize("moment", [*(number / 20 for number in range(1, 30)), *(1.5 + each / 3 for each in range(30))])
def test_whatever_late_replicas_show_nobody_is_heard_of_twice_and_nobody_comes_back(reply, moment):
    running = reply(seed=moment, faults=LATE, seconds=14, devices=("a=", "b="))
    running.world.later(moment, lambda: running.leave("a="))
    running.world.later(moment, lambda: running.enter("c="))
    running.run()
    # The turn was never lost to an older chat: the first attempt made the reply.
    assert (running.reply.attempt, running.reply.finish_reason) == (1, FinishReason.STOP)
    last = max(at for at, _ in running.posts["a="])
    assert last <= moment + LEAVING_SECONDS
    for name in ("b=", "c="):
        starts = [at for at, text in running.posts[name] if b"_start" in text]
        assert len(starts) == 1
    assert starts[0] <= moment + LEAVING_SECONDS


def test_a_worker_that_acts_on_late_replicas_loses_its_turn(reply, monkeypatch):
    monkeypatch.setattr(monitor.TurnMonitor, "_look", lambda self: self._heed(self._watch(certain=False), 0.0))
    assert any(reply(seed=seed, faults=LATE).run(until=10).reply is None for seed in range(10))
