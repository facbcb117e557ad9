"""What each client frame does: what is stored, and which actions follow."""

import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest
from parley.dev_tokens import token

from handlers.chat.concurrency import Runtime
from handlers.chat.errors import ErrorCode
from handlers.chat.identity.keys import SharedSecret
from handlers.chat.identity.tokens import Authenticator
from handlers.chat.protocol.frames import (
    Authenticated,
    ChatCreated,
    ChatJoined,
    ChatLeft,
    CreateChat,
    Error,
    History,
    Pong,
    RunningReply,
    UserMessage,
)
from handlers.chat.records import Chat, Connection, Resume
from handlers.chat.settings import Settings
from handlers.chat.store import StoreError
from handlers.chat.turns.actions import FanOut, Generate, Post
from handlers.chat.turns.commands import Commands
from tests.support.conversation import answer, ask, claim, seal
from tests.support.runtime import FakeRuntime
from tests.support.unlimited import NO_FRAME_LIMIT

SECRET = "a secret of at least thirty-two bytes"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=16)


class Client:
    """One connection, and what the commands did for it."""

    def __init__(self, store, name):
        self.store = store
        self.name = name
        ids = (f"{name}id-{number:03}" for number in itertools.count())
        self.now = NOON
        self.commands = Commands(
            store,
            Authenticator(
                SharedSecret(SECRET), lambda identity: store.users.get(identity.user_id) is not None, Runtime()
            ),
            Settings.of({"JWT_SECRET": SECRET, "MESSAGE_CHARS": "100"}),
            FakeRuntime(lambda: self.now, lambda: next(ids)),
            NO_FRAME_LIMIT,
        )
        store.connections.add(Connection(name, NOON))

    def sends(self, kind, request_id=None, **data):
        frame = {"type": kind, "data": data} | ({"requestId": request_id} if request_id else {})
        return self.sends_text(json.dumps(frame))

    def sends_text(self, text):
        actions = []
        self.commands.answer(text, self.name, actions.append, reference="ref")
        return actions

    def is_answered(self, kind, **data):
        return [action.frame for action in self.sends(kind, **data)]

    def is_refused(self, kind, **data):
        [error] = self.is_answered(kind, **data)
        assert isinstance(error, Error)
        return error.code

    def joins(self, user, chat_id=None, **more):
        data = {"token": token(user, SECRET)} | ({"chatId": chat_id} if chat_id else {}) | more
        return self.is_answered("join_chat", **data)


@pytest.fixture
def client(store):
    return Client(store, "c1=")


@pytest.fixture
def chat(store):
    return store.chats.add(Chat("alice", "chat"), NOON)


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
        assert Client(store, "c2=").is_refused("join_chat") is ErrorCode.INVALID_TOKEN

    @pytest.mark.parametrize("chat_id", ["chat", "made-up", "ч" * 128])
    def test_a_foreign_chat_and_a_made_up_one_are_refused_alike(self, client, store, chat, chat_id):
        [error] = client.joins("bob", chat_id)
        assert (error.code, error.message) == (ErrorCode.CHAT_NOT_FOUND, "Chat not found or access denied")
        assert store.connections.get("c1=").user_id is None

    def test_another_users_token_takes_the_connection_out_of_the_old_chat(self, client, store, chat):
        client.joins("alice", "chat")
        client.joins("bob")
        assert store.chats.get("alice", "chat").subscribers == {}
        assert store.connections.get("c1=") == Connection("c1=", NOON, "bob")

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
        assert created == ChatCreated(chat_id="c1=id-000", title="Новый чат")
        assert store.chats.get("alice", "c1=id-000").subscribers.keys() == {"c1="}

    def test_a_title_may_be_given(self, client):
        client.joins("alice")
        [created] = client.is_answered("create_chat", title="Рецепты")
        assert created.title == "Рецепты"

    def test_the_same_client_chat_id_gives_the_same_chat(self, client, store):
        client.joins("alice")
        [first] = client.is_answered("create_chat", clientChatId="draft-1", title="One")
        [second] = client.is_answered("create_chat", clientChatId="draft-1", title="Two")
        assert first == second
        other = Client(store, "c2=")
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
        other = Client(store, "c2=")
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


class TestMessage:
    def test_it_is_stored_acknowledged_and_handed_over(self, client, store, chat):
        client.joins("alice", "chat")
        acknowledged, generate = client.sends("message", "r1", message="Hi", clientMessageId="mine")
        assert acknowledged == Post(
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
        payload = generate.handover.payload()
        assert payload.pop("read_units") > 0
        assert payload.pop("write_units") >= 0  # moto does not know what a transaction costs
        assert payload == {
            "user_id": "alice",
            "chat_id": "chat",
            "message_id": "c1=id-002",
            "attempt": 1,
            "frames": 1,
        }
        [stored] = store.messages.newest_first("chat")
        assert (stored.content, stored.client_message_id) == ("Hi", "mine")

    def test_the_other_devices_in_the_chat_see_it_too(self, client, store, chat):
        other = Client(store, "c2=")
        client.joins("alice", "chat")
        other.joins("alice", "chat")
        to_sender, to_others, generate = client.sends("message", "r1", message="Hi")
        assert (to_sender.connection_id, to_sender.request_id) == ("c1=", "r1")
        assert to_others == FanOut(to_sender.frame, frozenset({"c2="}))
        assert (type(generate), generate.handover.frames) == (Generate, 2)

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
        assert len(client.sends("message", message="👩" * 50)) == 2

    def test_in_a_deleted_chat_nothing_is_stored(self, client, store):
        client.joins("alice")
        store.connections.bind("c1=", "alice", "deleted")
        assert client.is_refused("message", message="Hi") is ErrorCode.CHAT_NOT_FOUND
        assert list(store.messages.newest_first("deleted")) == []

    def test_a_worker_that_cannot_be_invoked_is_told_and_the_message_stays(self, client, store, chat):
        client.joins("alice", "chat")
        performed = []

        def perform(action):
            if isinstance(action, Generate):
                raise ConnectionError("Lambda does not answer")
            performed.append(action.frame)

        body = json.dumps({"type": "message", "data": {"message": "Hi"}})
        client.commands.answer(body, "c1=", perform, reference="ref")
        acknowledged, error = performed
        assert isinstance(acknowledged, UserMessage)
        assert error.code is ErrorCode.INTERNAL
        assert [message.content for message in store.messages.newest_first("chat")] == ["Hi"]

    def test_the_same_message_again_is_acknowledged_again_to_the_sender_alone(self, client, store, chat):
        Client(store, "c2=").joins("alice", "chat")
        client.joins("alice", "chat")
        first, *_ = client.sends("message", message="Hi", clientMessageId="mine")
        [again] = client.sends("message", "r2", message="Hi", clientMessageId="mine")
        assert (again.connection_id, again.request_id) == ("c1=", "r2")
        assert again.frame == first.frame.model_copy(update={"duplicate": True})
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


class TestResume:
    """`join_chat` where the client was cut off in the middle of a reply."""

    def test_a_running_reply_is_named_and_left_to_its_worker(self, client, store, chat):
        claim(store, ask(store, "m1", "m2"))
        _, joined = client.joins("alice", "chat", resume={"messageId": "m2", "offset": 3})
        assert joined.reply == RunningReply(message_id="m2", attempt=1)
        assert store.chats.get("alice", "chat").subscribers["c1="].resume == Resume(message_id="m2", offset=3)

    def test_one_that_waits_for_its_first_worker_is_its_first_attempt(self, client, store, chat):
        ask(store, "m1", "m2")
        assert client.joins("alice", "chat")[1].reply == RunningReply(message_id="m2", attempt=1)

    def test_of_a_stored_reply_the_rest_is_sent(self, client, store, chat):
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

    def test_who_may_have_another_attempts_text_gets_all_of_it(self, client, store, chat):
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
    def test_what_is_no_reply_of_this_chat_is_not_resumed(self, client, store, chat, message_id):
        store.chats.add(Chat("bob", "theirs"), NOON)
        answer(store, ask(store, "x1", "x2", user="bob", chat_id="theirs"))
        answer(store, ask(store, "m1", "m2"))
        _, joined = client.joins("alice", "chat", resume={"messageId": message_id, "offset": 0})
        assert [view.message_id for view in joined.messages] == ["m1", "m2"]

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


class TestCancelAndRegenerate:
    def test_the_running_reply_is_cancelled_without_a_word(self, client, store, chat):
        client.joins("alice", "chat")
        client.sends("message", message="Hi")
        assert client.sends("cancel") == []
        assert store.chats.get("alice", "chat").turn.cancelled

    @pytest.mark.parametrize("data", [{}, {"messageId": "stale"}])
    def test_where_there_is_no_such_reply_it_is_refused(self, client, store, chat, data):
        client.joins("alice", "chat")
        if data:
            ask(store, "m1", "m2")
        assert client.is_refused("cancel", **data) is ErrorCode.NOTHING_TO_CANCEL

    def test_the_last_reply_is_made_anew(self, client, store, chat):
        client.joins("alice", "chat")
        answer(store, ask(store, "b1", "b2"))
        [generate] = client.sends("regenerate")
        assert store.chats.get("alice", "chat").turn.replaces == "b2"
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

    def test_one_that_was_accepted_and_never_begun_is_handed_on_as_the_first_attempt(self, client, store, chat):
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
        Client(store, "c2=").joins("alice", "chat")
        client.joins("alice", "chat")
        seal(store, ask(store, "m1", "m2"))
        client.now = LATER
        _, announced = client.sends("ping")
        assert (announced.frame.content, announced.connections) == ("Hello", {"c1=", "c2="})
        assert store.chats.get("alice", "chat").turn is None
        assert len(client.sends("ping")) == 1


class TestTheRest:
    def test_older_messages_come_in_pages(self, client, store, chat):
        client.joins("alice", "chat")
        for number in (0, 2, 4):
            answer(store, ask(store, f"m{number}", f"m{number + 1}"))
        [page] = client.is_answered("load_history", before="m3", limit=2)
        assert isinstance(page, History)
        assert ([view.message_id for view in page.messages], page.has_more) == (["m1", "m2"], True)

    def test_history_needs_a_chat(self, client):
        assert client.is_refused("load_history", before="m3") is ErrorCode.NOT_AUTHENTICATED

    def test_leaving_a_chat_ends_its_frames(self, client, store, chat):
        client.joins("alice", "chat")
        assert client.is_answered("leave_chat") == [ChatLeft(chat_id="chat")]
        assert store.chats.get("alice", "chat").subscribers == {}
        assert client.is_refused("leave_chat") is ErrorCode.NOT_AUTHENTICATED

    def test_a_ping_is_answered_to_anybody(self, client):
        assert client.is_answered("ping") == [Pong(server_time="2026-11-23T12:00:00.000Z")]

    def test_the_request_id_is_repeated_in_answers_and_refusals(self, client):
        for kind in ("ping", "leave_chat", "dance"):
            [action] = client.sends(kind, "r7")
            assert action.request_id == "r7"

    def test_what_is_no_json_is_refused(self, client):
        [action] = client.sends_text("{")
        assert (action.frame.code, action.frame.message) == (ErrorCode.INVALID_FORMAT, "Invalid message format")

    def test_an_unexpected_failure_is_one_sentence_with_a_reference(self, client, monkeypatch):
        monkeypatch.setattr(type(client.store.connections), "get", lambda *_: 1 / 0)
        [action] = client.sends("ping", "r1")
        assert (action.frame.code, action.request_id) == (ErrorCode.INTERNAL, "r1")
        assert action.frame.message == "Something went wrong on our side. Reference: ref"
