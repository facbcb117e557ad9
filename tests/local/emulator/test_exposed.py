"""Other machines reach the template's APIs, and with `--expose` everything."""

import json

import pytest
from parley.cli import banner
from parley.emulator.options import Address

from tests.support.ready_emulator import ReadyEmulator

CLOSED = [
    "/_parley/trace",
    "/_parley/dynamodb",
    "/_parley/aws/sqs",
    "/2015-03-31/functions/Any/invocations",
    "/live/@connections/BFaT_fALIAMCKug=",
    "/v1/models",
]


@pytest.fixture
def refused(tmp_path):
    """Return the paths that are closed to a client on an address, at a server on `192.0.2.1`."""

    async def refused(client, **options):
        emulator = ReadyEmulator(tmp_path, Address("192.0.2.1", **options))
        addresses = {"client": (client, 50_000), "server": ("192.0.2.1", 8000)}
        found = set()
        for path in [*CLOSED, "/anything"]:
            start, body = await emulator.ask("http", path, (b"host", b"192.0.2.1:8000"), **addresses)
            if start["status"] == 403 and "--expose" in json.loads(body["body"])["message"]:
                found.add(path)
        return found

    return refused


async def test_another_machine_reaches_the_apis_only(refused):
    assert await refused("192.0.2.2") == set(CLOSED)


@pytest.mark.parametrize("client", ["127.0.0.1", "192.0.2.1"])
async def test_this_machine_reaches_everything(refused, client):
    assert await refused(client) == set()


async def test_with_expose_another_machine_reaches_everything(refused):
    assert await refused("192.0.2.2", exposed=True) == set()


async def test_another_machine_may_connect(tmp_path):
    emulator = ReadyEmulator(tmp_path, Address("192.0.2.1"))
    [accepted] = await emulator.ask("websocket", "/live", client=("192.0.2.2", 50_000), server=("192.0.2.1", 8000))
    assert accepted["type"] == "websocket.accept"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (Address(), None),
        (Address("localhost", exposed=True), None),
        (Address("0.0.0.0"), "--expose opens them too"),
        (Address("0.0.0.0", exposed=True), "With --expose they can"),
    ],
)
def test_the_banner_warns_of_other_machines(address, said):
    lines = banner._warnings(address)
    assert said in lines[0] if said else lines == []
