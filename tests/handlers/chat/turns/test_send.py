"""Messages, cancellation, regeneration, and turns whose worker is gone."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from handlers.chat.errors import ErrorCode
from handlers.chat.protocol.frames import (
    UserMessage,
)
from handlers.chat.records import Connection, Subscription
from handlers.chat.turns.actions import Begin, Generate, Post
from handlers.chat.turns.lifecycle import Handover
from tests.support.command_client import NOON, CommandClient
from tests.support.conversation import answer, ask, claim, seal
from tests.support.subscribers import bind, subscribe

LATER = NOON + timedelta(seconds=16)


class TestMessage:
    def test_it_is_stored_acknowledged_and_handed_over(self, client, store, chat):
        client.joins("alice", "chat")
        [begin] = client.sends("message", "r1", message="Hi", clientMessageId="mine")
        assert begin.acknowledgement == Post(
            UserMessage(
                message_id="c1=id-001",
                content="Hi",
                timestamp="2026-11-23T12:00:00.000Z",
                chat_id="chat",
                client_message_id="mine",
            ),
            "c1=",
            "r1",
        )
        assert (begin.others, begin.handover) == (frozenset(), Handover("alice", "chat", "c1=id-002"))
        assert store.chats.get("alice", "chat").turn.acknowledging
        [stored] = store.messages.newest_first("chat")
        assert (stored.content, stored.client_message_id) == ("Hi", "mine")

    def test_the_other_devices_in_the_chat_see_it_too(self, client, store, chat):
        other = CommandClient(store, "c2=")
        client.joins("alice", "chat")
        other.joins("alice", "chat")
        [begin] = client.sends("message", "r1", message="Hi")
        assert (begin.acknowledgement.connection_id, begin.acknowledgement.request_id) == ("c1=", "r1")
        assert begin.others == {"c2="}

    def test_it_needs_a_user_and_a_chat(self, client, chat):
        for _ in ("anonymous", "without a chat"):
            [error] = client.is_answered("message", message="Hi")
            assert error.code is ErrorCode.NOT_AUTHENTICATED
            assert error.message == "Not authenticated or not in a chat"
            client.joins("alice")

    @pytest.mark.parametrize("text", ["", "  \n\t", "\x00\x07"])
    def test_an_empty_one_is_refused_and_not_stored(self, client, store, chat, text):
        client.joins("alice", "chat")
        assert client.is_refused("message", message=text) is ErrorCode.MESSAGE_EMPTY
        assert list(store.messages.newest_first("chat")) == []

    def test_the_limit_is_named_and_exact(self, client, store, chat):
        client.joins("alice", "chat")
        [error] = client.is_answered("message", message="👩" * 51, clientMessageId="mine")
        assert (error.code, error.message) == (
            ErrorCode.MESSAGE_TOO_LARGE,
            "Message is longer than 100 characters",
        )
        assert error.client_message_id == "mine"
        assert list(store.messages.newest_first("chat")) == []
        [begin] = client.sends("message", message="👩" * 50)
        assert isinstance(begin, Begin)

    def test_a_device_whose_session_has_ended_is_told_nothing(self, client, store, chat):
        client.joins("alice", "chat")
        for name, seconds in (("ended=", 0), ("open=", 1)):
            store.connections.add(Connection(name, NOON, "alice", until=NOON + timedelta(seconds=seconds)))
            subscribe(store, name, Subscription("first"))
        [begin] = client.sends("message", message="Hi")
        assert begin.others == {"open="}

    def test_in_a_deleted_chat_nothing_is_stored(self, client, store):
        client.joins("alice")
        bind(store, "c1=", "alice", "deleted")
        assert client.is_refused("message", message="Hi") is ErrorCode.CHAT_NOT_FOUND
        assert list(store.messages.newest_first("deleted")) == []

    def test_a_worker_that_cannot_be_invoked_is_told_and_the_message_stays(self, client, store, chat):
        client.joins("alice", "chat")
        performed = []

        def perform(action):
            if isinstance(action, Begin):
                performed.append(action.acknowledgement.frame)
                raise ConnectionError("Lambda does not answer")
            performed.append(action.frame)

        body = json.dumps({"type": "message", "data": {"message": "Hi"}})
        client.commands.answer(body, "c1=", perform, reference="ref")
        acknowledged, error = performed
        assert isinstance(acknowledged, UserMessage)
        assert error.code is ErrorCode.INTERNAL
        assert [message.content for message in store.messages.newest_first("chat")] == ["Hi"]

    def test_the_same_message_again_is_acknowledged_again_to_the_sender_alone(self, client, store, chat):
        CommandClient(store, "c2=").joins("alice", "chat")
        client.joins("alice", "chat")
        [first] = client.sends("message", message="Hi", clientMessageId="mine")
        [again] = client.sends("message", "r2", message="Hi", clientMessageId="mine")
        assert (again.connection_id, again.request_id) == ("c1=", "r2")
        assert again.frame == replace(first.acknowledgement.frame, duplicate=True)
        assert store.chats.get("alice", "chat").message_count == 1

    def test_while_a_reply_runs_it_is_refused_and_not_stored(self, client, store, chat):
        client.joins("alice", "chat")
        client.sends("message", message="Hi")
        [error] = client.is_answered("message", message="And?", clientMessageId="second")
        assert (error.code, error.client_message_id) == (ErrorCode.BUSY, "second")
        assert [message.content for message in store.messages.newest_first("chat")] == ["Hi"]
        assert store.messages.sent_as("chat", "second") is None

    @pytest.mark.parametrize("tag", ["", "x" * 65, "a\x00b", 7, ["a"]])
    def test_a_client_id_that_is_none_is_refused(self, client, chat, tag):
        client.joins("alice", "chat")
        assert client.is_refused("message", message="Hi", clientMessageId=tag) is ErrorCode.INVALID_FORMAT


class TestCancelAndRegenerate:
    def test_the_running_reply_is_cancelled_without_a_word(self, client, store, chat):
        client.joins("alice", "chat")
        client.sends("message", message="Hi")
        assert client.sends("cancel") == []
        assert store.chats.get("alice", "chat").turn.cancelled

    @pytest.mark.parametrize("data", [{}, {"messageId": "stale"}])
    def test_a_cancellation_without_such_a_reply_is_refused(self, client, store, chat, data):
        client.joins("alice", "chat")
        if data:
            ask(store, "m1", "m2")
        assert client.is_refused("cancel", **data) is ErrorCode.NOTHING_TO_CANCEL

    def test_the_last_reply_is_made_anew(self, client, store, chat):
        client.joins("alice", "chat")
        answer(store, ask(store, "b1", "b2"))
        [generate] = client.sends("regenerate")
        turn = store.chats.get("alice", "chat").turn
        assert (turn.replaces, turn.acknowledging) == ("b2", False)
        assert generate.handover.message_id == store.chats.get("alice", "chat").turn.message_id

    def test_without_a_reply_or_with_one_running_it_is_refused(self, client, store, chat):
        client.joins("alice", "chat")
        assert client.is_refused("regenerate") is ErrorCode.NOTHING_TO_REGENERATE
        client.sends("message", message="Hi")
        assert client.is_refused("regenerate") is ErrorCode.BUSY

    @pytest.mark.parametrize("kind", ["cancel", "regenerate"])
    def test_they_need_a_chat(self, client, kind):
        client.joins("alice")
        assert client.is_refused(kind) is ErrorCode.NOT_AUTHENTICATED


class TestAbandoned:
    """A turn whose worker is gone is handed on by the next frame from its chat, and by one of them."""

    @pytest.fixture
    def abandoned(self, client, store, chat):
        client.joins("alice", "chat")
        claim(store, ask(store, "m1", "m2"))
        client.now = LATER

    @pytest.mark.parametrize(
        ("kind", "data", "answers"),
        [
            ("ping", {}, ["pong"]),
            ("message", {"message": "And?"}, ["error"]),
            ("join_chat", {"chatId": "chat"}, ["authenticated", "chat_joined"]),
            ("cancel", {}, []),
            ("regenerate", {}, ["error"]),
        ],
    )
    def test_any_frame_hands_it_on(self, client, store, abandoned, kind, data, answers):
        actions = client.sends(kind, **data)
        assert [each.frame.type for each in actions if isinstance(each, Post)] == answers
        [generate] = [each for each in actions if isinstance(each, Generate)]
        assert (generate.handover.message_id, generate.handover.attempt) == ("m2", 2)
        assert [type(each) for each in client.sends("ping")] == [Post], "only the first hands it on"

    def test_a_turn_accepted_and_never_begun_is_handed_on_as_the_first_attempt(self, client, store, chat):
        client.joins("alice", "chat")
        client.sends("message", message="Hi")
        client.now = LATER
        _, generate = client.sends("ping")
        assert generate.handover.attempt == 1

    def test_a_message_that_was_sent_before_is_acknowledged_and_its_turn_handed_on(self, client, store, chat):
        client.joins("alice", "chat")
        client.sends("message", message="Hi", clientMessageId="mine")
        client.now = LATER
        generate, again = client.sends("message", message="Hi", clientMessageId="mine")
        assert (type(generate), again.frame.duplicate) == (Generate, True)

    def test_a_live_one_is_left_alone(self, client, store, chat):
        client.joins("alice", "chat")
        ask(store, "m1", "m2")
        assert len(client.sends("ping")) == 1

    def test_a_stored_reply_that_nobody_announced_is_announced_to_all(self, client, store, chat):
        CommandClient(store, "c2=").joins("alice", "chat")
        client.joins("alice", "chat")
        seal(store, ask(store, "m1", "m2"))
        client.now = LATER
        _, announced = client.sends("ping")
        start, complete = announced.frames
        assert (start.offset, start.content, complete.content) == (0, "Hello", "Hello")
        assert announced.connections == {"c1=", "c2="}
        assert store.chats.get("alice", "chat").turn is None
        assert len(client.sends("ping")) == 1

    def test_a_newer_turn_does_not_keep_a_reply_from_being_announced(self, client, store, chat):
        client.joins("alice", "chat")
        seal(store, ask(store, "m1", "m2"))
        ask(store, "m3", "m4", now=LATER)
        client.now = LATER
        _, announced = client.sends("ping")
        assert [frame.message_id for frame in announced.frames] == ["m2", "m2"]
        assert announced.connections == {"c1="}
        assert store.chats.get("alice", "chat").turn.message_id == "m4"
        assert len(client.sends("ping")) == 1

    def test_a_connection_that_was_shown_a_later_reply_was_shown_the_earlier_one(self, client, store, chat):
        client.joins("alice", "chat")
        seal(store, ask(store, "m1", "m2"))
        seal(store, ask(store, "m3", "m4"))
        CommandClient(store, "c2=").joins("alice", "chat")
        client.now = LATER
        _, first = client.sends("ping")
        _, second = client.sends("ping")
        assert [each.frames[-1].message_id for each in (first, second)] == ["m2", "m4"]
        assert first.connections == second.connections == {"c1="}

    def test_a_long_one_is_announced_in_pieces_that_fit(self, client, store, chat):
        client.joins("alice", "chat")
        text = "жук👩" * 4_000
        seal(store, ask(store, "m1", "m2"), text)
        client.now = LATER
        start, *tokens, complete = client.sends("ping")[1].frames
        assert start.content + "".join(token.token for token in tokens) == text
        assert (complete.content, complete.length) == (None, 20_000)

    def test_a_connection_that_was_shown_it_is_left_out(self, client, store, chat):
        client.joins("alice", "chat")
        seal(store, ask(store, "m1", "m2"))
        CommandClient(store, "c2=").joins("alice", "chat")
        client.now = LATER
        assert client.sends("ping")[1].connections == {"c1="}
