"""Joining and creating a chat, and resuming a reply in it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from parley.dev_tokens import token

from handlers.chat.errors import ErrorCode
from handlers.chat.protocol.client_frames import CreateChat
from handlers.chat.protocol.frames import Authenticated, ChatCreated, ChatJoined, RunningReply
from handlers.chat.records import Chat, Connection, Resume
from handlers.chat.store import StoreError
from tests.support.command_client import NOON, SECRET, CommandClient
from tests.support.conversation import answer, ask, claim, seal

LATER = NOON + timedelta(seconds=16)


class TestJoinChat:
    def test_a_token_authenticates_the_connection(self, client, store):
        assert client.joins("alice") == [Authenticated(user_id="alice")]
        assert store.connections.get("c1=").user_id == "alice"

    def test_with_a_chat_its_history_is_shown(self, client, store, chat):
        answer(store, ask(store, "m1", "m2"), title="Hi")
        authenticated, joined = client.joins("alice", "chat")
        assert authenticated == Authenticated(user_id="alice")
        assert (joined.title, joined.has_more) == ("Hi", False)
        assert [(view.role, view.content) for view in joined.messages] == [("user", "Hi"), ("assistant", "Hello")]

    def test_an_untitled_chat_is_called_new(self, client, chat):
        assert client.joins("alice", "chat")[1].title == "Новый чат"

    def test_the_chat_sends_to_the_connection_from_now_on(self, client, store, chat):
        client.joins("alice", "chat")
        assert store.chats.get("alice", "chat").subscribers.keys() == {"c1="}
        assert store.connections.get("c1=").chat_id == "chat"

    def test_once_authenticated_no_token_is_needed(self, client, chat):
        client.joins("alice")
        assert isinstance(client.is_answered("join_chat", chatId="chat")[1], ChatJoined)

    def test_a_bad_or_missing_token_leaves_the_connection_as_it_was(self, client, store, chat):
        client.joins("alice", "chat")
        assert client.is_refused("join_chat", token="bad") is ErrorCode.INVALID_TOKEN
        assert store.connections.get("c1=").chat_id == "chat"
        assert CommandClient(store, "c2=").is_refused("join_chat") is ErrorCode.INVALID_TOKEN

    @pytest.mark.parametrize("chat_id", ["chat", "made-up", "ч" * 128])
    def test_a_foreign_chat_and_a_made_up_one_are_refused_alike(self, client, store, chat, chat_id):
        [error] = client.joins("bob", chat_id)
        assert (error.code, error.message) == (ErrorCode.CHAT_NOT_FOUND, "Chat not found or access denied")
        assert store.connections.get("c1=").user_id is None

    def test_another_users_token_takes_the_connection_out_of_the_old_chat(self, client, store, chat):
        client.joins("alice", "chat")
        client.joins("bob")
        assert store.chats.get("alice", "chat").subscribers == {}
        assert replace(store.connections.get("c1="), until=None) == Connection("c1=", NOON, "bob")

    def test_a_renewed_token_keeps_the_connection_in_its_chat(self, client, store, chat):
        client.joins("alice", "chat")
        client.joins("alice")
        assert store.chats.get("alice", "chat").subscribers.keys() == {"c1="}
        assert store.connections.get("c1=").chat_id == "chat"

    def test_a_connection_sees_one_chat_at_a_time(self, client, store, chat):
        store.chats.add(Chat("alice", "second"), NOON)
        client.joins("alice", "chat")
        client.joins("alice", "second")
        assert store.chats.get("alice", "chat").subscribers == {}
        assert store.chats.get("alice", "second").subscribers.keys() == {"c1="}


class TestCreateChat:
    def test_it_needs_a_user(self, client):
        [error] = client.is_answered("create_chat")
        assert (error.code, error.message) == (ErrorCode.NOT_AUTHENTICATED, "Not authenticated")

    def test_a_new_chat_is_joined(self, client, store):
        client.joins("alice")
        [created] = client.is_answered("create_chat")
        assert created == ChatCreated(chat_id="c1=id-000", title="Новый чат", assistant="default")
        assert store.chats.get("alice", "c1=id-000").subscribers.keys() == {"c1="}

    @pytest.mark.parametrize("title", ["", "  ", "\x00", "\n\t\u2003", 7, ["x"], "x" * 201])
    def test_a_title_must_be_one(self, client, title):
        client.joins("alice")
        assert client.is_refused("create_chat", title=title) is ErrorCode.INVALID_FORMAT

    def test_a_title_may_be_given(self, client):
        client.joins("alice")
        [created] = client.is_answered("create_chat", title="Рецепты")
        assert created.title == "Рецепты"

    def test_the_same_client_chat_id_gives_the_same_chat(self, client, store):
        client.joins("alice")
        [first] = client.is_answered("create_chat", clientChatId="draft-1", title="One")
        [second] = client.is_answered("create_chat", clientChatId="draft-1", title="Two")
        assert first == second
        other = CommandClient(store, "c2=")
        other.joins("bob")
        assert other.is_answered("create_chat", clientChatId="draft-1")[0].chat_id != first.chat_id

    def test_a_new_chat_has_its_first_subscriber_before_anybody_can_send(self, client, store):
        client.joins("alice")
        frames = client.commands.decide(CreateChat(), store.connections.get("c1="), None)
        created = next(frames).frame
        assert store.chats.get("alice", created.chat_id).subscribers.keys() == {"c1="}

    def test_a_chat_that_is_there_is_heard_after_it_was_told_of(self, client, store):
        client.joins("alice")
        client.sends("create_chat", clientChatId="draft-1")
        other = CommandClient(store, "c2=")
        other.joins("alice")
        frames = other.commands.decide(CreateChat(clientChatId="draft-1"), store.connections.get("c2="), None)
        created = next(frames).frame
        assert store.chats.get("alice", created.chat_id).subscribers.keys() == {"c1="}
        assert list(frames) == []
        assert store.chats.get("alice", created.chat_id).subscribers.keys() == {"c1=", "c2="}

    def test_a_store_that_fails_is_told(self, client, store, monkeypatch):
        client.joins("alice")

        def fails(chat, now):
            raise StoreError("throttled")

        monkeypatch.setattr(type(store.chats), "add", lambda self, chat, now: fails(chat, now))
        assert client.is_refused("create_chat") is ErrorCode.CREATE_FAILED


class TestResume:
    """`join_chat` where the client was cut off in the middle of a reply."""

    def test_a_running_reply_is_named_and_left_to_its_worker(self, client, store, chat):
        claim(store, ask(store, "m1", "m2"))
        _, joined = client.joins("alice", "chat", resume={"messageId": "m2", "offset": 3})
        assert joined.reply == RunningReply(message_id="m2", attempt=1)
        assert store.chats.get("alice", "chat").subscribers["c1="].resume == Resume(message_id="m2", offset=3)

    def test_a_reply_that_waits_for_its_first_worker_is_the_first_attempt(self, client, store, chat):
        ask(store, "m1", "m2")
        assert client.joins("alice", "chat")[1].reply == RunningReply(message_id="m2", attempt=1)

    def test_the_rest_of_a_stored_reply_is_sent(self, client, store, chat):
        answer(store, ask(store, "m1", "m2"), "👩 hello")
        _, joined, start, complete = client.joins("alice", "chat", resume={"messageId": "m2", "offset": 3})
        assert joined.reply is None
        assert (start.message_id, start.offset, start.content) == ("m2", 3, "hello")
        assert (complete.content, complete.length) == ("👩 hello", 8)

    def test_a_reply_longer_than_a_frame_comes_in_several(self, client, store, chat):
        text = "жук" * 7_000
        answer(store, ask(store, "m1", "m2"), text)
        _, _, start, *tokens, complete = client.joins("alice", "chat", resume={"messageId": "m2", "offset": 1})
        assert start.content + "".join(token.token for token in tokens) == text[1:]
        assert (complete.content, complete.length) == (None, 21_000)

    def test_a_client_without_an_attempt_gets_all_of_the_second_attempt(self, client, store, chat):
        handover = ask(store, "m1", "m2")
        claim(store, handover)
        answer(store, handover, turn=claim(store, handover, now=LATER, worker="w2"))
        _, _, start, _ = client.joins("alice", "chat", resume={"messageId": "m2", "offset": 70})
        assert (start.attempt, start.offset, start.content) == (2, 0, "Hello")

    @pytest.mark.parametrize("offset", [-1, 2.5, "3", None, 10**19])
    def test_an_offset_that_is_none_is_refused(self, client, store, chat, offset):
        resume = {"messageId": "m2", "offset": offset}
        data = {"token": token("alice", SECRET), "chatId": "chat", "resume": resume}
        assert client.is_refused("join_chat", **data) is ErrorCode.INVALID_FORMAT
        assert store.connections.get("c1=").user_id is None

    def test_an_offset_beyond_a_stored_reply_is_refused_and_leaves_the_connection_as_it_was(self, client, store, chat):
        answer(store, ask(store, "m1", "m2"))
        [error] = client.joins("alice", "chat", resume={"messageId": "m2", "offset": 6})
        assert (error.code, error.message) == (
            ErrorCode.INVALID_FORMAT,
            "resume.offset is beyond the reply's end at 5",
        )
        assert store.connections.get("c1=").user_id is None
        assert store.chats.get("alice", "chat").subscribers == {}

    @pytest.mark.parametrize("message_id", ["unknown", "m1", "x2"])
    def test_a_message_that_is_no_reply_of_this_chat_is_not_resumed(self, client, store, chat, message_id):
        store.chats.add(Chat("bob", "theirs"), NOON)
        answer(store, ask(store, "x1", "x2", user="bob", chat_id="theirs"))
        answer(store, ask(store, "m1", "m2"))
        _, joined = client.joins("alice", "chat", resume={"messageId": message_id, "offset": 0})
        assert [view.message_id for view in joined.messages] == ["m1", "m2"]

    def test_the_rest_of_a_reply_that_ends_after_the_subscription_is_left_to_its_worker(
        self, client, store, chat, monkeypatch
    ):
        handover = ask(store, "m1", "m2")
        subscribe = store.chats.subscribe

        def just_in_time(*arguments):
            subscribed = subscribe(*arguments)
            seal(store, handover)
            return subscribed

        monkeypatch.setattr(store.chats, "subscribe", just_in_time)
        _, joined = client.joins("alice", "chat", resume={"messageId": "m2", "offset": 3})
        assert joined.reply.message_id == "m2"
        assert store.chats.get("alice", "chat").subscribers["c1="].shown is None

    @pytest.mark.parametrize("later", [0, 16])
    def test_a_reply_that_is_sealed_at_the_subscription_is_sent_once(self, client, store, chat, later):
        seal(store, ask(store, "m1", "m2"))
        client.now = NOON + timedelta(seconds=later)
        data = {"token": token("alice", SECRET), "chatId": "chat", "resume": {"messageId": "m2", "offset": 3}}
        _, joined, start, complete, *announced = client.sends("join_chat", **data)
        assert (joined.frame.reply, start.frame.content, complete.frame.content) == (None, "lo", "Hello")
        assert all("c1=" not in fan_out.connections for fan_out in announced)

    def test_a_reply_that_ends_while_the_client_joins_is_shown(self, client, store, chat, monkeypatch):
        handover = ask(store, "m1", "m2")
        subscribe = store.chats.subscribe

        def too_late(*arguments):
            monkeypatch.setattr(store.chats, "subscribe", subscribe)
            seal(store, handover)
            return subscribe(*arguments)

        monkeypatch.setattr(store.chats, "subscribe", too_late)
        _, before, then = client.joins("alice", "chat")
        assert (before.reply.message_id, len(before.messages)) == ("m2", 1)
        assert (then.reply, [view.content for view in then.messages]) == (None, ["Hi", "Hello"])
        assert store.chats.get("alice", "chat").subscribers["c1="].shown == "m2"

    def test_a_turn_that_begins_while_the_client_joins_is_shown(self, client, store, chat, monkeypatch):
        subscribe = store.chats.subscribe

        def too_late(*arguments):
            monkeypatch.setattr(store.chats, "subscribe", subscribe)
            ask(store, "m1", "m2")
            return subscribe(*arguments)

        monkeypatch.setattr(store.chats, "subscribe", too_late)
        _, before, then = client.joins("alice", "chat")
        assert (before.reply, before.messages) == (None, ())
        assert (then.reply.message_id, len(then.messages)) == ("m2", 1)
