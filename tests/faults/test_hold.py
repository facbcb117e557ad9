"""A reply is held until the message that it answers is acknowledged: in virtual time, with a sender of each kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handlers.chat.errors import PostFailed
from handlers.chat.records import Connection, Role, Subscription
from handlers.chat.replies.hold import HOLD_SECONDS
from handlers.chat.store import StoreError
from tests.faults.simulation.chat import CHAT, DEFAULT_SECONDS, USER, SimulatedDeployment
from tests.faults.simulation.services import SimulatedFaults
from tests.faults.simulation.world import BEGINNING

MESSAGE = {"type": "message", "requestId": "r1", "data": {"message": "Hi", "clientMessageId": "mine"}}


@pytest.fixture
def deployment():
    """A chat with two devices in it."""
    deployment = SimulatedDeployment("hold", SimulatedFaults())
    for name in ("a=", "b="):
        enter(deployment, name)
    return deployment


def enter(deployment, name):
    tables = deployment.store.tables
    tables.connections[name] = Connection(name, BEGINNING, USER, CHAT)
    chat = tables.chats[USER, CHAT]
    tables.chats[USER, CHAT] = replace(chat, subscribers={**chat.subscribers, name: Subscription(f"j{name}")})
    deployment.gateway.open[name] = lambda text: None


def posts(deployment):
    """Return the frames of each connection, as they are posted: their moments, types and data."""
    posted, post = {}, deployment.gateway.post

    def noted(name, text):
        post(name, text)
        posted.setdefault(name, []).append((deployment.world.time, text.split(b'"')[3].decode()))

    deployment.gateway.post = noted
    return posted


def when(posted, name, kind):
    return next(at for at, each in posted[name] if each == kind)


def run(deployment, until=100.0):
    deployment.message("a=", MESSAGE)
    deployment.world.run(until)
    assert deployment.world.failures == []
    return [each for each in deployment.messages if each.role is Role.ASSISTANT]


def slow(deployment, name, seconds):
    """Let the first post to a connection take so long."""
    post = deployment.gateway.post

    def slowly(connection_id, text):
        if connection_id == name and b"user_message" in text:
            deployment.world.sleep(seconds)
        post(connection_id, text)

    deployment.gateway.post = slowly


def stands_still(deployment, seconds):
    """Let `default` stand still for so long when it posts to the sender, before any other of its threads has begun."""
    post = deployment.gateway.post

    def freezes(connection_id, text):
        if connection_id == "a=" and b"user_message" in text:
            deployment.world.current.freeze(seconds)
        post(connection_id, text)

    deployment.gateway.post = freezes


def default_dies(deployment):
    """Let `default` die while it posts."""
    post = deployment.gateway.post

    def dies(connection_id, text):
        if b"user_message" in text:
            deployment.world.sleep(0.1)
            deployment.world.current.kill()
            deployment.world.sleep(0.1)
        post(connection_id, text)

    deployment.gateway.post = dies


def test_mostly_one_look_at_the_chat_or_none_is_enough():
    looks = []
    for number in range(50):
        deployment = SimulatedDeployment(("hold", number))
        enter(deployment, "a=")
        posted = posts(deployment)
        deployment.message("a=", MESSAGE)
        deployment.world.run(0.2)
        looks.append(deployment.store.chats.looks[True])
        assert [kind for _, kind in posted["a="]][:2] == ["user_message", "assistant_message_start"]
    assert max(looks) <= 2
    assert sum(looks) <= len(looks)


@pytest.mark.parametrize("seconds", [0.5, 5.0, 20.0])
def test_the_model_is_asked_at_once_and_its_text_waits_for_a_slow_sender(deployment, seconds):
    slow(deployment, "a=", seconds)
    posted = posts(deployment)
    deployment.world.later(0.4, lambda: asked.append(len(deployment.model.prompts)))
    asked = []
    [reply] = run(deployment)
    assert asked == [1]
    assert when(posted, "a=", "assistant_message_start") > when(posted, "a=", "user_message") > seconds
    late = when(posted, "a=", "assistant_message_start") - when(posted, "a=", "user_message")
    assert late <= 0.1 + seconds / 8
    assert (reply.finish_reason, reply.attempt) == ("stop", 1)
    assert [kind for _, kind in posted["a="]].count("assistant_message_complete") == 1


def test_another_device_delays_it_by_two_seconds_at_most(deployment):
    slow(deployment, "b=", 20.0)
    posted = posts(deployment)
    run(deployment)
    assert 2.0 <= when(posted, "a=", "assistant_message_start") <= 2.4


def test_while_default_stands_still_the_time_of_another_device_does_not_run_out(deployment):
    slow(deployment, "b=", 0.5)
    stands_still(deployment, 10.0)
    posted = posts(deployment)
    run(deployment)
    assert when(posted, "b=", "assistant_message_start") > when(posted, "b=", "user_message") > 10.0


def test_a_sender_that_is_gone_delays_nothing(deployment):
    del deployment.gateway.open["a="]
    posted = posts(deployment)
    [reply] = run(deployment)
    assert when(posted, "b=", "assistant_message_start") < 0.2
    assert "a=" not in posted
    assert reply.attempt == 1


def test_without_a_note_it_waits_until_nobody_can_be_posting(deployment):
    default_dies(deployment)
    posted = posts(deployment)
    [reply] = run(deployment)
    assert DEFAULT_SECONDS < HOLD_SECONDS
    assert HOLD_SECONDS <= when(posted, "b=", "assistant_message_start") < HOLD_SECONDS + 0.5
    assert (reply.finish_reason, reply.attempt) == ("stop", 1), "its worker keeps the lease"
    assert deployment.store.chats.looks[True] <= 70
    assert deployment.chat.announcements == frozenset()


def test_a_note_that_the_store_does_not_take_delays_it_as_long(deployment):
    def fails(*_):
        raise StoreError("throttled")

    deployment.store.turns.acknowledged = fails
    posted = posts(deployment)
    [reply] = run(deployment)
    assert HOLD_SECONDS <= when(posted, "a=", "assistant_message_start") < HOLD_SECONDS + 0.5
    assert reply.attempt == 1


def test_a_post_that_fails_has_ended_too(deployment):
    post = deployment.gateway.post

    def fails(connection_id, text):
        if b"user_message" in text:
            raise PostFailed("LimitExceededException")
        post(connection_id, text)

    deployment.gateway.post = fails
    posted = posts(deployment)
    run(deployment)
    assert when(posted, "a=", "assistant_message_start") < 0.2


def test_a_worker_that_loses_its_turn_meanwhile_sends_nothing(deployment):
    slow(deployment, "a=", 20.0)
    posted = posts(deployment)

    def overtaken():
        tables, chat = deployment.store.tables, deployment.chat
        tables.chats[USER, CHAT] = replace(chat, turn=replace(chat.turn, attempt=2, worker="another"))

    deployment.world.later(1.0, overtaken)
    assert run(deployment, until=15.0) == []
    assert posted.keys() == {"b="}
    assert [kind for _, kind in posted["b="]] == ["user_message"]


def test_nothing_of_a_deleted_chat_is_sent(deployment):
    slow(deployment, "a=", 20.0)
    posted = posts(deployment)
    deployment.world.later(1.0, lambda: deployment.store.chats.delete(USER, CHAT))
    run(deployment)
    assert [kind for each in posted.values() for _, kind in each] == ["user_message"] * 2
    assert deployment.store.tables.chats == {}


def test_a_reply_that_is_cancelled_while_it_is_held_ends_after_its_message(deployment):
    slow(deployment, "a=", 5.0)
    posted = posts(deployment)
    deployment.services.freeze_model(10.0)  # the reply is not over before the cancellation, whatever the seed
    deployment.world.later(0.3, lambda: deployment.message("b=", {"type": "cancel", "data": {}}))
    [reply] = run(deployment)
    kinds = [kind for _, kind in posted["a="]]
    assert (kinds[:2], kinds[-1]) == (["user_message", "assistant_message_start"], "assistant_message_complete")
    assert reply.finish_reason == "cancelled"


def test_a_device_that_leaves_while_the_whole_reply_is_held_gets_nothing_of_it(deployment):
    slow(deployment, "a=", 12.0)
    posted = posts(deployment)

    def leaves():
        assert not any(answer.open for answer in deployment.model.answers), "the model still talks"
        tables, chat = deployment.store.tables, deployment.chat
        assert chat.turn is not None
        tables.chats[USER, CHAT] = replace(chat, subscribers={"a=": chat.subscribers["a="]})

    deployment.world.later(11.0, leaves)
    run(deployment)
    assert [kind for _, kind in posted["b="]] == ["user_message"]
    assert [kind for _, kind in posted["a="]][-1] == "assistant_message_complete"


def test_a_regenerated_reply_is_not_held(deployment):
    run(deployment)
    looks, posted = deployment.store.chats.looks[True], posts(deployment)
    began = deployment.world.time
    deployment.message("a=", {"type": "regenerate", "data": {}})
    deployment.world.run(began + 0.24)  # before the first look of the monitor
    assert when(posted, "a=", "assistant_message_start") < began + 0.2
    assert deployment.store.chats.looks[True] == looks


def test_a_turn_of_a_version_that_noted_nothing_is_not_held(deployment):
    accept = deployment.store.turns.accept

    def older(chat, message, turn, change, fork):
        return accept(chat, message, replace(turn, acknowledging=False), change, fork)

    deployment.store.turns.accept = older
    slow(deployment, "a=", 5.0)
    posted = posts(deployment)
    run(deployment)
    assert when(posted, "b=", "assistant_message_start") < 0.2
