"""Carrying out actions: what fails is logged, and the next action follows."""

import json
from dataclasses import replace
from threading import Barrier, Event

import pytest
from botocore.exceptions import ClientError

from handlers.chat.concurrency import Runtime
from handlers.chat.connections import OpenConnections
from handlers.chat.protocol.frames import Pong
from handlers.chat.records import Chat, Connection, Message, Role, Turn
from handlers.chat.store import StoreError
from handlers.chat.turns.actions import Begin, Close, FanOut, Generate, Performer, Post
from handlers.chat.turns.lifecycle import LEASE, Handover
from tests.support.conversation import NOON, answer
from tests.support.http_api import Invocations
from tests.support.recording_gateway import RecordingGateway
from tests.support.waiting import until

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


BEGIN = Begin(Post(PONG, "own=", "r1"), frozenset({"c1=", "c2="}), Handover("alice", "chat", "m2", frames=4))


def begins(store):
    """Begin the turn `m2` as `default` does."""
    chat = store.chats.add(Chat("alice", "chat"), NOON)
    message = Message("chat", "m1", Role.USER, "Hi", NOON)
    store.turns.accept(chat, message, Turn("m2", NOON + LEASE, acknowledging=True))


def is_acknowledging(store):
    return store.chats.get("alice", "chat").turn.acknowledging


class TestTheBeginningOfATurn:
    @pytest.fixture(autouse=True)
    def turn(self, store):
        begins(store)

    def test_all_devices_hear_of_it_while_the_worker_is_invoked(self, perform, gateway, functions):
        all_at_once, post, invoke = Barrier(4), gateway.post, functions.invoke

        def at_once(work):
            def call(*arguments):
                all_at_once.wait(30)
                work(*arguments)

            return call

        gateway.post, functions.invoke = at_once(post), at_once(invoke)
        perform(BEGIN)
        until(lambda: len(gateway.frames) == 3, seconds=30)
        [own] = gateway.to("own=")
        assert own["requestId"] == "r1"
        assert sorted(connection_id for connection_id, _ in gateway.frames) == ["c1=", "c2=", "own="]
        assert functions.invoked == [("GenerateFunction", BEGIN.handover.payload())]

    def test_the_turn_says_so_when_the_posts_have_ended_and_not_before(self, perform, gateway, store):
        seen, post = [], gateway.post

        def looks(connection_id, text):
            seen.append(is_acknowledging(store))
            post(connection_id, text)

        gateway.post = looks
        perform(replace(BEGIN, others=frozenset()))
        assert (seen, is_acknowledging(store)) == ([True], False)

    def test_a_worker_that_is_not_invoked_yet_does_not_keep_it_from_saying_so(self, perform, functions, store):
        noted, invoke, note = Event(), functions.invoke, store.turns.acknowledged

        def slow(*arguments):
            assert noted.wait(30)
            invoke(*arguments)

        def notes(*arguments):
            note(*arguments)
            noted.set()

        functions.invoke, store.turns.acknowledged = slow, notes
        perform(BEGIN)
        assert (len(functions.invoked), is_acknowledging(store)) == (1, False)

    def test_devices_that_do_not_take_it_hold_nothing_up(self, perform, gateway, functions, store):
        gateway.gone, gateway.failing["own="] = {"c1="}, 1
        perform(BEGIN)
        assert (len(functions.invoked), is_acknowledging(store)) == (1, False)

    def test_a_worker_that_cannot_be_invoked_finds_the_turn_acknowledged_later(self, perform, functions, store):
        def fails(*_):
            raise ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")

        functions.invoke = fails
        perform(BEGIN)
        assert not is_acknowledging(store)

    def test_a_store_that_does_not_take_the_note_is_no_error(self, perform, functions, store):
        def fails(*_):
            raise StoreError("throttled")

        store.turns.acknowledged = fails
        perform(BEGIN)
        assert (len(functions.invoked), is_acknowledging(store)) == (1, True)

    def test_a_turn_that_is_over_or_another_one_is_left_alone(self, perform, store):
        answer(store, Handover("alice", "chat", "m2"))
        before = store.chats.get("alice", "chat")
        perform(BEGIN)
        assert store.chats.get("alice", "chat") == before


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
