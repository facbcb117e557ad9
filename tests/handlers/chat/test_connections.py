"""Posting to connections, delivering to many, closing, and forgetting those that are gone."""

import json
from datetime import UTC, datetime

import pytest

from handlers.chat.concurrency import Runtime
from handlers.chat.connections import OpenConnections
from handlers.chat.delivery import delivery
from handlers.chat.delivery.delivery import Delivery
from handlers.chat.errors import ConnectionGone, PostFailed
from handlers.chat.protocol.frames import ChatUpdated
from handlers.chat.records import Connection
from tests.support.runtime import FakeRuntime

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FRAME = ChatUpdated(chat_id="chat", title="Рецепты")


class Gateway:
    def __init__(self, gone=(), failing=(), opens_after=0):
        self.gone, self.failing, self.opens_after = gone, failing, opens_after
        self.posted = []

    def close(self, connection_id):
        self.posted.append((connection_id, "closed"))
        if connection_id in self.gone:
            raise ConnectionGone(connection_id)
        if connection_id in self.failing:
            raise PostFailed("ConnectTimeoutError")

    def post(self, connection_id, text):
        if connection_id in self.gone:
            raise ConnectionGone(connection_id)
        if connection_id in self.failing:
            raise PostFailed("ConnectTimeoutError")
        if self.opens_after:
            self.opens_after -= 1
            raise ConnectionGone(connection_id)
        self.posted.append((connection_id, json.loads(text)))


@pytest.fixture
def connections(store):
    for name, user in (("c1=", "alice"), ("c2=", "alice"), ("c3=", "bob"), ("c4=", None)):
        store.connections.add(Connection(name, NOON, user))


def run(to, store, gateway):
    """Deliver, and what that invokes too, as Lambda would; return how often the gateway was waited for."""
    pauses = []
    pending = [to.payload()]
    while pending:
        OpenConnections(store, gateway, FakeRuntime(sleep=pauses.append)).deliver(
            Delivery.of(pending.pop()), pending.append
        )
    return pauses


def receivers(gateway):
    return sorted(connection_id for connection_id, _ in gateway.posted)


def test_a_user_gets_a_frame_on_all_their_connections(store, connections):
    run(delivery.to_user("alice", FRAME), store, gateway := Gateway())
    assert receivers(gateway) == ["c1=", "c2="]
    assert gateway.posted[0][1] == {"type": "chat_updated", "data": {"chatId": "chat", "title": "Рецепты"}}


def test_everyone_gets_a_broadcast_once(store, connections):
    run(delivery.to_everyone(FRAME), store, gateway := Gateway())
    assert receivers(gateway) == ["c1=", "c2=", "c3=", "c4="]


def test_a_broadcast_is_a_star_of_invocations(store, connections):
    invoked = []
    OpenConnections(store, gateway := Gateway(), Runtime()).deliver(delivery.to_everyone(FRAME), invoked.append)
    assert [payload["segment"] for payload in invoked] == [0, 1, 2, 3]
    assert gateway.posted == []


def test_a_connection_that_is_gone_is_forgotten_and_one_that_fails_is_kept(store, connections):
    run(delivery.to_everyone(FRAME), store, gateway := Gateway(gone={"c1="}, failing={"c2="}))
    assert receivers(gateway) == ["c3=", "c4="]
    assert store.connections.get("c1=") is None
    assert store.connections.get("c2=") is not None


def test_a_greeting_waits_for_the_connection_to_open(store, connections):
    pauses = run(delivery.to_connection("c1=", FRAME), store, gateway := Gateway(opens_after=3))
    assert receivers(gateway) == ["c1="]
    assert pauses == [0.02, 0.05, 0.1]


def test_a_greeting_that_never_arrives_does_not_cost_the_connection(store, connections):
    run(delivery.to_connection("c1=", FRAME), store, Gateway(gone={"c1="}))
    assert store.connections.get("c1=") is not None


@pytest.mark.parametrize("gone", [[], ["c1="]])
def test_a_connection_that_is_closed_is_forgotten_be_it_open_or_not(store, connections, gone):
    gateway = Gateway(gone=gone)
    OpenConnections(store, gateway, Runtime()).evict("c1=")
    assert gateway.posted == [("c1=", "closed")]
    assert store.connections.get("c1=") is None


def test_one_that_cannot_be_closed_keeps_its_row(store, connections):
    OpenConnections(store, Gateway(failing=["c1="]), Runtime()).evict("c1=")
    assert store.connections.get("c1=") is not None
