"""A deployment that faces the internet: unknown users, foreign pages, connections that never say who they are."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection

import pytest
from parley.dev_tokens import token
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.devices import SECRET, Device, Emulator
from tests.support.waiting import HANGS, until

PAGE = "https://chat.example.com"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    emulator = Emulator(ANONYMOUS_SECONDS="1", ALLOWED_ORIGINS=PAGE, AUTO_CREATE_USERS="true")
    yield emulator
    emulator.stop()


def joined_in_time(emulator: Emulator, user: str) -> Device:
    """Return a device that has joined. On a busy machine a second may be over before that: then it tries again."""
    while True:
        device = Device(emulator.websocket_url)
        with suppress(ConnectionClosed):
            device.join(user)
            return device


def deadlines(emulator: Emulator) -> int:
    """Return how many connections were looked at when their time to authenticate was over."""
    with urllib.request.urlopen(f"{emulator.url}/_parley/trace", timeout=HANGS) as answer:
        events = json.load(answer)
    return sum(event["kind"] == "end" and event["function"] == "ExpireFunction" for event in events)


def test_an_anonymous_connection_is_closed_and_no_other(emulator):
    alice = joined_in_time(emulator, "alice")
    anonymous, early = (Device(emulator.websocket_url) for _ in range(2))
    early.socket.close()
    assert anonymous.closing_code() == 1000
    # Alice came first, and early is gone: their ends were looked at too.
    until(lambda: deadlines(emulator) >= 3)
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
        connection = HTTPConnection("127.0.0.1", emulator.port, timeout=HANGS)
        connection.request("POST", path, b"{}", headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    refused = 403, b'{"message": "Web pages may not call this"}'
    assert post(Origin="https://evil.example.com") == refused
    assert post(**{"Sec-Fetch-Site": "cross-site"}) == refused
    assert post() != refused
