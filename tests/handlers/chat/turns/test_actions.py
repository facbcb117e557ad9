"""Carrying out actions: what fails is logged, and the next action follows."""

import json
import time
from threading import Barrier

import pytest
from botocore.exceptions import ClientError

from handlers.chat.concurrency import Runtime
from handlers.chat.connections import OpenConnections
from handlers.chat.protocol.frames import Pong
from handlers.chat.records import Connection
from handlers.chat.store import StoreError
from handlers.chat.turns.actions import Close, FanOut, Generate, Performer, Post
from handlers.chat.turns.lifecycle import Handover
from tests.support.conversation import NOON
from tests.support.http_api import Invocations
from tests.support.recording_gateway import RecordingGateway
from tests.support.waiting import HANGS

PONG = Pong(server_time="2026-11-23T12:00:00.000Z")


@pytest.fixture
def gateway():
    return RecordingGateway()


@pytest.fixture
def functions():
    return Invocations()


@pytest.fixture
def perform(store, gateway, functions):
    connections = OpenConnections(store, gateway, Runtime())
    return Performer(connections, functions, "GenerateFunction", Runtime()).perform


def test_a_post_carries_the_request_id(perform, gateway):
    perform(Post(PONG, "c1=", "r1"))
    assert gateway.to("c1=") == [{"type": "pong", "data": {"serverTime": PONG.server_time}, "requestId": "r1"}]


def test_a_connection_that_is_gone_is_forgotten(perform, gateway, store):
    store.connections.add(Connection("c1=", NOON))
    gateway.gone = {"c1="}
    perform(Post(PONG, "c1="))
    assert store.connections.get("c1=") is None


def test_a_connection_that_cannot_be_forgotten_is_no_error(perform, gateway, store, monkeypatch):
    def fails(_):
        raise StoreError("throttled")

    monkeypatch.setattr(store.connections, "forget", fails)
    gateway.gone = {"c1="}
    perform(Post(PONG, "c1="))


def test_a_fan_out_reaches_all_but_those_that_fail(perform, gateway):
    gateway.failing["c2="] = 1
    perform(FanOut((PONG,), frozenset({"c1=", "c2=", "c3="})))
    assert sorted(connection_id for connection_id, _ in gateway.frames) == ["c1=", "c3="]


def test_a_post_beside_a_fan_out_is_made_at_the_same_time_and_waited_for(perform, gateway):
    all_at_once, post = Barrier(3), gateway.post

    def posts_when_all_do(connection_id, text):
        all_at_once.wait(HANGS)
        time.sleep(0.05 if connection_id == "own=" else 0)
        post(connection_id, text)

    gateway.post = posts_when_all_do
    perform(FanOut((PONG,), frozenset({"c1=", "c2="}), beside=Post(PONG, "own=", "r1")))
    [own] = gateway.to("own=")
    assert own["requestId"] == "r1"
    assert [connection_id for connection_id, _ in gateway.frames][-1] == "own="
    assert len(gateway.frames) == 3


def test_frames_of_a_fan_out_come_in_order_and_none_after_one_that_failed(perform, gateway):
    texts = tuple(Pong(server_time=str(number)) for number in range(3))
    gateway.failing_after_delivery["c2="] = 1
    gateway.gone = {"c3="}
    perform(FanOut(texts, frozenset({"c1=", "c2=", "c3="})))
    assert [[frame["data"]["serverTime"] for frame in gateway.to(each)] for each in ("c1=", "c2=", "c3=")] == [
        ["0", "1", "2"],
        ["0"],
        [],
    ]


def test_a_worker_gets_its_handover(perform, functions):
    handover = Handover("alice", "chat", "m2", frames=1)
    perform(Generate(handover))
    assert functions.invoked == [("GenerateFunction", json.loads(json.dumps(handover.payload())))]


def test_a_worker_that_cannot_be_invoked_is_no_error(perform, functions, monkeypatch):
    def fails(*_):
        raise ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")

    monkeypatch.setattr(functions, "invoke", fails)
    perform(Generate(Handover("alice", "chat", "m2")))


def test_closing_forgets_the_connection(perform, gateway, store):
    store.connections.add(Connection("c1=", NOON))
    perform(Close("c1="))
    assert gateway.closed == ["c1="]
    assert store.connections.get("c1=") is None
