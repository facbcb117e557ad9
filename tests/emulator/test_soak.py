"""Memory of an emulator that runs for long: it keeps no object for each turn, connection, call or event."""

import pytest

from tests.support import engines
from tests.support.counted_emulator import CountedEmulator
from tests.support.devices import Device
from tests.support.unlimited import UNLIMITED

TURNS = 15
KEPT = ("parley.trace.TraceEvent", "moto.sqs.models.Message")
"""The trace keeps its last 10,000 events, and the queue looks at a connection until that is old."""
STORED = "moto.dynamodb."
"""The modules of moto's tables, where it is the engine."""

pytestmark = pytest.mark.full


def talk(emulator):
    """Ask in one chat after the other, each on a new connection."""
    for number in range(TURNS):
        device = Device(emulator.websocket_url)
        device.join("alice")
        device.create_chat()
        device.ask(f"{number}?")
        device.socket.close()


@pytest.mark.parametrize("dynamodb", ["embedded", engines.MOTO])
def test_no_class_has_more_objects_for_each_turn(tmp_path, dynamodb):
    emulator = CountedEmulator(tmp_path, PARLEY_DYNAMODB=dynamodb, **UNLIMITED)
    try:
        talk(emulator)
        before = emulator.kept()
        talk(emulator)
        after = emulator.kept()
    finally:
        emulator.stop()
    # A new environment has a few objects; what is kept for each turn has so many.
    growth = {name: count for name, count in (after - before).items() if count >= TURNS}
    assert [name for name in growth if name not in KEPT and not name.startswith(STORED)] == []
    assert before.keys() >= {*KEPT}
