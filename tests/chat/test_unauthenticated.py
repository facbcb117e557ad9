"""A deployment that faces the internet: unknown users, foreign pages, connections that never say who they are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from parley.dev_tokens import token
from websockets.exceptions import InvalidStatus

from tests.support.devices import SECRET, Device, Emulator

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
    """The emulator refuses the first one, and the function the second one, which the emulator lets in."""
    Device(emulator.websocket_url, origin=PAGE).connection_id()
    for page in ("https://evil.example.com", "http://localhost:5173"):
        with pytest.raises(InvalidStatus) as refused:
            Device(emulator.websocket_url, origin=page)
        assert refused.value.response.status_code == 403


def test_a_valid_token_makes_its_user(emulator):
    device = Device(f"{emulator.websocket_url}?token={token('newcomer', SECRET)}")
    device.send("create_chat")
    assert device.receive("chat_created")
    users = emulator.client("dynamodb").scan(TableName="UsersTable")["Items"]
    assert "newcomer" in {user["userId"]["S"] for user in users}


def test_a_bad_token_is_401(emulator):
    with pytest.raises(InvalidStatus) as refused:
        Device(f"{emulator.websocket_url}?token=bad")
    assert refused.value.response.status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/2015-03-31/functions/DeliverFunction/invocations",
        "/live/@connections/any=",
        "/_parley/trace",
        "/_parley/aws/sqs",
        "/_parley/dynamodb/",
    ],
)
def test_a_page_that_is_open_on_this_machine_calls_none_of_awss_services(emulator, path):
    def post(**headers):
        connection = HTTPConnection("127.0.0.1", emulator.port, timeout=30)
        connection.request("POST", path, b"{}", headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    refused = 403, b'{"message": "Web pages may not call this"}'
    assert post(Origin="https://evil.example.com") == refused
    assert post(**{"Sec-Fetch-Site": "cross-site"}) == refused
    assert post() != refused
