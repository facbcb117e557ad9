"""The options of `parley up` change what they say."""

import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.devices import Device, Emulator


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    emulator = Emulator(
        PARLEY_STAGE="prod",
        PARLEY_USERS="carol, dave",
        PARLEY_POST_LATENCY_MS="150",
        PARLEY_CONNECTION_LIMIT="3",
        PARLEY_TOKENS_PER_SECOND="200",
        CHAT_LANGUAGE="en",
    )
    yield emulator
    emulator.stop()


def test_the_stage_is_served_under_its_name(emulator):
    assert Device(f"ws://127.0.0.1:{emulator.port}/prod").connection_id()
    with pytest.raises(InvalidStatus):
        Device(f"ws://127.0.0.1:{emulator.port}/live")


def test_every_post_takes_longer(emulator):
    device = Device(emulator.websocket_url)
    device.connection_id()
    started = time.monotonic()
    device.send("ping")
    device.receive("pong")
    assert time.monotonic() - started >= 0.15


def test_a_connection_ends_at_its_limit_however_busy(emulator):
    started = time.monotonic()
    device = Device(emulator.websocket_url)
    with suppress(ConnectionClosed):
        while True:
            device.send("ping")
            device.receive("pong")
    assert device.socket.close_code == 1001
    assert time.monotonic() - started >= 3


def test_the_users_are_those_who_were_named(emulator):
    device = Device(emulator.websocket_url)
    device.join("carol")
    device.join("dave")
    with pytest.raises(AssertionError, match="invalid_token"):
        device.join("alice")


def test_settings_of_the_functions_come_from_the_shell(emulator):
    device = Device(emulator.websocket_url)
    device.join("carol")
    device.send("create_chat")
    assert device.receive("chat_created")["data"]["title"] == "New chat"
