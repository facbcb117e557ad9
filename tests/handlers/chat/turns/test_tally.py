"""The use that a frame makes of AWS, as the worker that it starts is told of it."""

import json
from dataclasses import replace

import pytest

from handlers.chat.cost import Units, Use, metered
from handlers.chat.protocol.frames import Pong
from handlers.chat.turns.actions import Begin, Close, FanOut, Generate, Post
from handlers.chat.turns.lifecycle import Handover
from handlers.chat.turns.tally import Tally, tallied
from tests.support.command_client import NOON, CommandClient
from tests.support.conversation import answer, ask, claim
from tests.support.runtime import FakeRuntime

PONG = Pong(server_time="now")
HANDOVER = Handover("alice", "chat", "m2")


@pytest.fixture
def clock():
    """The moment of the monotonic clock: a test moves it."""
    return [100.0]


def tally(clock, meter, memory=1.0):
    return Tally(meter, memory, 1_731_324_929_121, FakeRuntime(monotonic=lambda: clock[0]))


def test_a_worker_is_told_of_frames_units_time_and_when_the_user_asked(clock):
    with metered() as meter:
        counted = tally(clock, meter, memory=0.5)
        meter.add("GetItem", {"ConsumedCapacity": {"CapacityUnits": 1.5}})
        meter.add("TransactWriteItems", {"ConsumedCapacity": [{"CapacityUnits": 2.0}, {"CapacityUnits": 4.0}]})
        counted.count(Post(PONG, "c1="))
        counted.count(FanOut((PONG, PONG), frozenset({"c2=", "c3=", "c4="})))
        counted.count(Close("c1="))
        clock[0] += 3.0
        told = counted.count(Generate(HANDOVER))
    assert isinstance(told, Generate)
    assert told.handover == replace(
        HANDOVER,
        frames=1 + 1 + 2 * 3,
        read_units=1.5,
        write_units=6.0,
        invocations=1,
        gb_seconds=1.5,
        asked_at=1_731_324_929_121,
    )
    assert told.handover.use == Use(8, Units(1.5, 6.0), 1, 1.5)


def test_a_worker_that_is_told_at_the_same_time_knows_the_posts_and_the_write_that_are_still_to_come(clock):
    with metered() as meter:
        counted = tally(clock, meter)
        meter.add("TransactWriteItems", {"ConsumedCapacity": [{"CapacityUnits": 2.0}, {"CapacityUnits": 4.0}]})
        told = counted.count(Begin(Post(PONG, "c1=", "r1"), frozenset({"c2=", "c3="}), HANDOVER))
    assert isinstance(told, Begin)
    assert told.acknowledgement == Post(PONG, "c1=", "r1")
    assert told.handover.use == Use(1 + 3, Units(0.0, 6.0 + 1.0), 1, 0.0)
    assert told.handover.asked_at == 1_731_324_929_121


def test_the_time_of_a_function_of_unknown_memory_is_unknown(clock):
    with metered() as meter:
        told = tally(clock, meter, memory=None).count(Generate(HANDOVER))
    assert isinstance(told, Generate)
    assert (told.handover.gb_seconds, told.handover.invocations) == (None, 1)


def test_the_frame_that_takes_a_turn_over_is_not_when_the_user_asked(clock):
    with metered() as meter:
        told = tally(clock, meter).count(Generate(replace(HANDOVER, attempt=2)))
    assert isinstance(told, Generate)
    assert (told.handover.asked_at, told.handover.frames) == (None, 1)


def test_a_payload_of_before_says_that_the_time_is_unknown():
    assert Handover.of({"user_id": "alice", "chat_id": "chat", "message_id": "m2"}).use == Use()


class TestFramesThatBeginATurn:
    """Each of them is counted from its first read, the connection's row, to the handover."""

    def handed_over(self, client, kind, **data):
        done = []
        body = json.dumps({"type": kind, "data": data})
        with tallied(done.append, 1.0, None, FakeRuntime()) as perform:
            client.commands.answer(body, client.name, perform, reference="ref")
        [handover] = [action.handover for action in done if isinstance(action, Begin | Generate)]
        return handover

    @pytest.fixture
    def joined(self, store, chat):
        client, other = CommandClient(store, "c1="), CommandClient(store, "c2=")
        for each in (client, other):
            each.joins("alice", "chat")
        return client

    def test_a_message(self, joined):
        handover = self.handed_over(joined, "message", message="Hi")
        assert (handover.frames, handover.invocations) == (3, 1)
        assert handover.read_units > 0  # moto does not know how many
        assert handover.gb_seconds >= 0

    def test_a_repetition_of_the_reply(self, store, joined):
        answer(store, ask(store, "a1", "a2", "Hi"))
        handover = self.handed_over(joined, "regenerate")
        assert (handover.frames, handover.invocations) == (1, 1)
        assert handover.read_units > 0  # moto does not know how many

    def test_a_frame_that_takes_a_turn_over(self, store, joined):
        claim(store, ask(store, "m1", "m2", "Hi"))
        joined.now = NOON.replace(minute=1)
        handover = self.handed_over(joined, "ping")
        assert (handover.attempt, handover.frames, handover.invocations) == (2, 2, 1)
        assert handover.read_units > 0  # moto does not know how many
