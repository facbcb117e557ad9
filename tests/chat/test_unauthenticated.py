"""A deployment that faces the internet: unknown users, foreign pages, connections that never say who they are."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from parley.dev_tokens import DEVELOPMENT_SECRET, token
from websockets.exceptions import InvalidStatus

from tests.support.devices import Device, Emulator

PAGE = "https://chat.example.com"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    emulator = Emulator(ANONYMOUS_SECONDS="1", ALLOWED_ORIGINS=PAGE, AUTO_CREATE_USERS="true")
    yield emulator
    emulator.stop()


def test_an_anonymous_connection_is_closed_and_no_other(emulator):
    anonymous, alice, early = (Device(emulator.websocket_url) for _ in range(3))
    alice.join("alice")
    early.socket.close()
    assert anonymous.closing_code() == 1000
    time.sleep(0.5)
    alice.send("ping")
    alice.receive("pong")


def test_a_foreign_page_is_refused_at_the_door(emulator):
    Device(emulator.websocket_url, origin=PAGE).connection_id()
    with pytest.raises(InvalidStatus) as refused:
        Device(emulator.websocket_url, origin="https://evil.example.com")
    assert refused.value.response.status_code == 403


def test_a_valid_token_makes_its_user(emulator):
    device = Device(f"{emulator.websocket_url}?token={token('newcomer', DEVELOPMENT_SECRET)}")
    device.send("create_chat")
    assert device.receive("chat_created")
    users = emulator.client("dynamodb").scan(TableName="UsersTable")["Items"]
    assert "newcomer" in {user["userId"]["S"] for user in users}


def test_a_bad_token_is_401(emulator):
    with pytest.raises(InvalidStatus) as refused:
        Device(f"{emulator.websocket_url}?token=bad")
    assert refused.value.response.status_code == 401
