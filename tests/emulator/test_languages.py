"""A chat whose functions are in JavaScript, and one executable: the shape of most public samples."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import npm
from tests.support.devices import Emulator
from tests.support.node import node
from tests.support.plain_client import PlainClient
from tests.support.waiting import HANGS, until

FOLDER = Path(__file__).parent / "templates" / "node"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    node()
    npm.install(FOLDER)
    if not shutil.which("curl"):
        pytest.skip("there is no curl here")
    emulator = Emulator(PARLEY_TEMPLATE=str(FOLDER / "template.yaml"), PARLEY_IAM="enforce")
    yield emulator
    emulator.stop()


@pytest.mark.parametrize("how", ["v2 event", "v2 composed", "v3 event", "v3 composed", "v3 variable"])
def test_a_message_reaches_everyone_in_each_way_to_post(emulator, how):
    ann, bob = PlainClient(emulator, "/Prod"), PlainClient(emulator, "/Prod")
    ann.socket.send(json.dumps({"action": "sendmessage", "how": how, "text": "hä"}))
    assert [each.socket.recv(HANGS) for each in (ann, bob)] == ["hä", "hä"]
    for each in (ann, bob):
        each.socket.close()
    until(lambda: stored(emulator) == [])


def test_an_executable_answers_a_route(emulator):
    client = PlainClient(emulator, "/Prod")
    assert client.ask('{"action": "shout", "text": "hello"}') == "HELLO!"
    client.socket.close()


def stored(emulator: Emulator) -> list[object]:
    """Return what is in the table of connections."""
    return list(emulator.client("dynamodb").scan(TableName="Room")["Items"])
