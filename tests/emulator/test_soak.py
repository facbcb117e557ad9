"""Memory of an emulator that runs for long: it keeps no object for each turn, connection, call or event."""

import pytest

from tests.support import engines
from tests.support.counted_emulator import CountedEmulator
from tests.support.devices import Device
from tests.support.unlimited import UNLIMITED

TURNS = 30
RING = "parley.trace.TraceEvent"
"""The trace keeps its last 10,000 events."""

pytestmark = pytest.mark.full


def talk(emulator, chat_id):
    """Ask in a chat, each time on a new connection."""
    for number in range(TURNS):
        device = Device(emulator.websocket_url)
        device.join("alice", chat_id)
        device.ask(f"{number}?")
        device.socket.close()


@pytest.mark.parametrize("dynamodb", ["embedded", engines.MOTO])
def test_no_class_has_more_objects_for_each_turn(tmp_path, dynamodb):
    emulator = CountedEmulator(tmp_path, PARLEY_DYNAMODB=dynamodb, **UNLIMITED)
    try:
        device = Device(emulator.websocket_url)
        device.join("alice")
        chat_id = device.create_chat()
        talk(emulator, chat_id)
        before = emulator.kept()
        talk(emulator, chat_id)
        after = emulator.kept()
    finally:
        emulator.stop()
    # A new environment has a few objects; what is kept for each turn has so many.
    growth = {name: count for name, count in (after - before).items() if count >= TURNS}
    assert growth.keys() <= {RING}
    assert before[RING]
