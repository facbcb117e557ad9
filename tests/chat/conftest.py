"""An emulator that runs the chat, and devices in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import dynamodb
from tests.support.devices import Device, Emulator


@pytest.fixture(scope="package")
def emulator() -> Iterator[Emulator]:
    if dynamodb.URL:
        dynamodb.delete_tables(dynamodb.client(dynamodb.URL))
    # Replies as long as a test asks for: one must not end by itself before the test has done what it came for. And as
    # many messages as all tests of these users send, however fast the machine is.
    variables = {"MAX_COMPLETION_TOKENS": "1000000", "MESSAGES_PER_MINUTE": "1000"} | (
        {"PARLEY_DYNAMODB": dynamodb.URL} if dynamodb.URL else {}
    )
    emulator = Emulator(**variables)
    yield emulator
    assert emulator.missing() == []
    emulator.stop()


@pytest.fixture
def device(emulator: Emulator) -> Iterator[Callable[..., Device]]:
    devices: list[Device] = []

    def connected(**options: Any) -> Device:
        devices.append(Device(options.pop("url", emulator.websocket_url), **options))
        return devices[-1]

    yield connected
    for each in devices:
        each.socket.close()
