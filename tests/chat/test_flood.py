"""A user sends fifty times the limit. Other users notice nothing, and the model gets no extra call."""

import json
import time
import urllib.request
from collections import Counter

import pytest

from tests.support.devices import Device, Emulator
from tests.support.flood import PER_MINUTE, MessageFlood
from tests.support.waiting import HANGS, until

TURNS = 3


TURN = "/long 30"


@pytest.fixture
def emulator(tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text("{}")
    emulator = Emulator(
        PARLEY_FAULTS=str(plan),
        PARLEY_USERS="alice,mallory",
        PARLEY_TOKENS_PER_SECOND="30",
        MESSAGES_PER_MINUTE=str(PER_MINUTE),
    )
    yield emulator
    emulator.stop()


def model_requests(emulator):
    return read(emulator, "model")["requests"]


def read(emulator, path):
    with urllib.request.urlopen(f"{emulator.url}/_parley/{path}", timeout=HANGS) as answer:
        return json.load(answer)


def test_a_flood_delays_nobody_else_and_asks_the_model_nothing(emulator):
    alice = Device(emulator.websocket_url)
    alice.join("alice")
    alice.create_chat()
    alice.ask(TURN)
    flood = MessageFlood(emulator)
    before = read(emulator, "trace")[-1]["number"]
    try:
        flood.on.set()
        until(lambda: flood.answers["rate_limited"])
        for _ in range(TURNS):
            assert alice.ask(TURN)[-1]["data"]["finishReason"] == "stop"
        until(lambda: flood.answers["rate_limited"] >= 20)
    finally:
        flood.stop()
        alice.socket.close()
    allowed = PER_MINUTE + (time.monotonic() - flood.started) * PER_MINUTE / 60
    # How long a turn takes says as much about the machine. That no event waits for an environment says it all.
    assert [event for event in read(emulator, f"trace?after={before}") if event["kind"] == "wait"] == []
    assert flood.waits - {None} <= {1, 2, 3}
    assert flood.stored() <= allowed
    # A message may be stored whose worker has not asked yet.
    until(lambda: model_requests(emulator) == 1 + TURNS + flood.stored())


def test_a_connection_that_floods_is_closed_and_its_user_may_come_back():
    emulator = Emulator(FRAMES_PER_SECOND="2", PARLEY_ENVIRONMENTS="2")
    try:
        device = Device(emulator.websocket_url)
        device.join("bob")
        ping = json.dumps({"type": "ping"})
        # Two environments hear five seconds' worth each, and bear ten more.
        assert device.closing_code(*[ping] * 200) == 1000
        told = Counter(frame["data"].get("code") for frame in device.frames)
        assert 1 <= told["rate_limited"] <= 20
        Device(emulator.websocket_url).join("bob")
    finally:
        emulator.stop()
