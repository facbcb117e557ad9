"""A broadcast to 5,000 connections: real invocations, real retries, and a process that is killed in the middle."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from handlers.chat.deliverer import PAGE_CONNECTIONS
from tests.support.deadly_clients import DeadlyClients
from tests.support.devices import Emulator
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
CONNECTIONS = 5_000


@pytest.fixture
def clients():
    server = DeadlyClients(deadly=CONNECTIONS // 2)
    yield server
    server.shutdown()


@pytest.fixture
def emulator(clients, tmp_path):
    template = (ROOT / "infra" / "template.yaml").read_text()
    before, ours, after = template.partition("      Handler: handlers.deliver.handler\n")
    assert ours
    after = after.replace("        Variables:\n", f"        Variables:\n          STUB_URL: {clients.url}\n", 1)
    template = f"{before}      Handler: tests.support.deliver_to_stub.handler\n{after}"
    template = template.replace("CodeUri: ../", f"CodeUri: {ROOT}")
    path = tmp_path / "template.yaml"
    path.write_text(template)
    emulator = Emulator(PARLEY_TEMPLATE=str(path), PARLEY_RETRY_DELAY="0.5")
    yield emulator
    emulator.stop()


def keep(emulator, names):
    """Write the rows of connections, as `connect` does."""
    now = datetime.now(UTC)
    rows = [
        {
            "connectionId": {"S": name},
            "userId": {"S": f"user-{name}"},
            "connectedAt": {"S": now.isoformat(timespec="microseconds").replace("+00:00", "+0000")},
            "expiresAt": {"N": str(int((now + timedelta(hours=2)).timestamp()))},
        }
        for name in names
    ]
    dynamodb = emulator.client("dynamodb")
    for start in range(0, len(rows), 25):
        puts = [{"PutRequest": {"Item": row}} for row in rows[start : start + 25]]
        assert not dynamodb.batch_write_item(RequestItems={"ConnectionsTable": puts})["UnprocessedItems"]


@pytest.mark.full
def test_all_of_5000_connections_hear_a_broadcast_although_a_process_is_killed(emulator, clients):
    names = {f"connection-{number}=" for number in range(CONNECTIONS)}
    keep(emulator, names)
    frame = {"type": "notice", "data": {"message": "Чай готов"}}
    emulator.client("lambda").invoke(
        FunctionName="DeliverFunction", InvocationType="Event", Payload=json.dumps({"frame": frame}).encode()
    )
    until(lambda: len({name for name, _ in clients.frames[:]}) == CONNECTIONS)
    heard = Counter(name for name, _ in clients.frames)
    assert set(heard) == names
    assert len(clients.killed) == 1
    assert 0 < heard.total() - CONNECTIONS <= PAGE_CONNECTIONS
    assert max(heard.values()) == 2
    # A client that drops the ids that it knows shows each notice once.
    assert {frame["type"] for _, frame in clients.frames} == {"notice"}
    assert len({frame["data"]["noticeId"] for _, frame in clients.frames}) == 1
