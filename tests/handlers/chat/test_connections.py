"""Posting to connections, delivering to many, closing, and forgetting those that are gone."""

from datetime import UTC, datetime, timedelta

import pytest

from handlers.chat.concurrency import Runtime
from handlers.chat.connections import OpenConnections, SessionDeadline
from handlers.chat.delivery import delivery
from handlers.chat.delivery.delivery import Delivery
from handlers.chat.errors import PostFailed
from handlers.chat.protocol.frames import ChatUpdated
from handlers.chat.records import Chat, Connection
from tests.support.recording_gateway import ALWAYS, RecordingGateway
from tests.support.recording_queue import RecordingQueue
from tests.support.runtime import FakeRuntime
from tests.support.subscribers import leave_behind

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DEADLINE = SessionDeadline(RecordingQueue(), "url", seconds=60)
FRAME = ChatUpdated(chat_id="chat", title="Рецепты")


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
    return sorted(connection_id for connection_id, _ in gateway.frames)


def test_a_user_gets_a_frame_on_all_their_connections(store, connections):
    run(delivery.to_user("alice", FRAME), store, gateway := RecordingGateway())
    assert receivers(gateway) == ["c1=", "c2="]
    assert gateway.frames[0][1] == {"type": "chat_updated", "data": {"chatId": "chat", "title": "Рецепты"}}


def test_everyone_with_a_user_gets_a_broadcast_once(store, connections):
    run(delivery.to_everyone(FRAME), store, gateway := RecordingGateway())
    assert receivers(gateway) == ["c1=", "c2=", "c3="]


@pytest.mark.parametrize("to", [delivery.to_user("alice", FRAME), delivery.to_everyone(FRAME)], ids=["user", "all"])
@pytest.mark.parametrize(("seconds", "heard"), [(-1, False), (0, False), (1, True)])
def test_a_connection_is_told_nothing_once_its_session_has_ended(store, to, seconds, heard):
    store.connections.add(Connection("c1=", NOON, "alice", until=NOON + timedelta(seconds=seconds)))
    run(to, store, gateway := RecordingGateway())
    assert receivers(gateway) == (["c1="] if heard else [])


def test_a_connection_that_has_another_user_by_now_is_not_told_what_is_for_the_first(store, connections, monkeypatch):
    monkeypatch.setattr(type(store.connections), "of_user", lambda self, user_id: iter(["c1=", "c3=", "gone="]))
    run(delivery.to_user("alice", FRAME), store, gateway := RecordingGateway())
    assert receivers(gateway) == ["c1="]


def test_one_that_is_not_open_yet_is_closed_by_its_row(store, connections):
    assert not OpenConnections(store, RecordingGateway(gone=["c1="]), Runtime()).close_and_forget("c1=")
    assert store.connections.get("c1=") is None


def test_a_broadcast_is_a_star_of_invocations(store, connections):
    invoked = []
    OpenConnections(store, gateway := RecordingGateway(), Runtime()).deliver(
        delivery.to_everyone(FRAME), invoked.append
    )
    assert [payload["segment"] for payload in invoked] == [0, 1, 2, 3]
    assert gateway.frames == []


def test_a_connection_that_is_gone_is_forgotten_and_one_that_fails_is_kept(store, connections):
    run(delivery.to_everyone(FRAME), store, gateway := RecordingGateway(gone={"c1="}, failing={"c2=": ALWAYS}))
    assert receivers(gateway) == ["c3="]
    assert store.connections.get("c1=") is None
    assert store.connections.get("c2=") is not None


def test_a_greeting_waits_for_the_connection_to_open(store, connections):
    pauses = run(delivery.to_connection("c1=", FRAME), store, gateway := RecordingGateway(opens_after=3))
    assert receivers(gateway) == ["c1="]
    assert pauses == [0.02, 0.05, 0.1]


def test_a_greeting_that_never_arrives_does_not_cost_the_connection(store, connections):
    run(delivery.to_connection("c1=", FRAME), store, RecordingGateway(gone={"c1="}))
    assert store.connections.get("c1=") is not None


@pytest.mark.parametrize("gone", [[], ["c1="]])
def test_a_connection_that_is_closed_is_forgotten_be_it_open_or_not(store, connections, gone):
    gateway = RecordingGateway(gone=gone)
    OpenConnections(store, gateway, Runtime()).evict("c1=")
    assert (gateway.closed, gateway.frames) == (["c1="], [])
    assert store.connections.get("c1=") is None


def test_one_that_cannot_be_closed_keeps_its_row(store, connections):
    OpenConnections(store, RecordingGateway(failing={"c1=": ALWAYS}), Runtime()).evict("c1=")
    assert store.connections.get("c1=") is not None


def test_closing_tells_whether_the_connection_was_open(store, connections):
    open_connections = OpenConnections(store, RecordingGateway(gone=["c1="]), Runtime())
    assert [open_connections.close(name) for name in ("c1=", "c2=")] == [False, True]
    assert store.connections.get("c1=") is not None


def test_forgetting_takes_a_connection_out_of_the_chat_that_is_named(store, connections):
    chat = store.chats.add(Chat("alice", "chat"), NOON)
    leave_behind(store, "ghost=", Connection("ghost=", NOON))
    OpenConnections(store, RecordingGateway(), Runtime()).forget("ghost=", chat)
    assert store.chats.get("alice", "chat").subscribers == {}


def test_one_that_expires_is_closed_and_forgotten_unless_it_has_a_user(store, connections):
    gateway = RecordingGateway()
    for name in ("c1=", "c4=", "unknown="):
        OpenConnections(store, gateway, Runtime()).expire(name, 1, DEADLINE)
    assert gateway.closed == ["c4="]
    assert (store.connections.get("c1=").user_id, store.connections.get("c4=")) == ("alice", None)


def test_one_that_cannot_be_closed_does_not_expire(store, connections):
    with pytest.raises(PostFailed):
        OpenConnections(store, RecordingGateway(failing={"c4=": ALWAYS}), Runtime()).expire("c4=", 1, DEADLINE)
    assert store.connections.get("c4=") is not None
