"""Emulators with a fault plan, and connections to them."""

import pytest

from tests.support.devices import Device
from tests.support.faulty_emulator import FaultyEmulator

AT_START = {"faults": [{"point": "store", "do": "500", "times": None}]}


@pytest.fixture(scope="package")
def running(tmp_path_factory):
    emulator = FaultyEmulator(tmp_path_factory.mktemp("api"), AT_START)
    emulator.plan_at_start = emulator.request("GET", "/_parley/faults")[1]
    yield emulator
    emulator.stop()
    assert not [line for line in emulator.output if "Traceback" in line or "ASGI" in line]


@pytest.fixture
def emulator(running):
    running.plan()
    yield running
    running.plan()


@pytest.fixture(scope="package")
def other(running, tmp_path_factory):
    """An emulator whose functions run inline, on the DynamoDB of the first one."""
    running.plan()
    upstream = f"{running.url}/_parley/dynamodb"
    other = FaultyEmulator(tmp_path_factory.mktemp("inline"), {}, PARLEY_DYNAMODB=upstream, PARLEY_FUNCTIONS="inline")
    yield other
    other.stop()


@pytest.fixture
def row(request):
    return request.node.name


@pytest.fixture
def connect(running):
    devices = []

    def connected(query=""):
        devices.append(Device(f"ws://127.0.0.1:{running.port}/live{query}"))
        return devices[-1]

    yield connected
    for each in devices:
        each.socket.close()
