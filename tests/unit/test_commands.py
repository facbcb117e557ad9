"""What each client frame does: what is stored, and which actions follow."""

import itertools
import json
from datetime import UTC, datetime

import pytest

from handlers.chat.auth import Authenticator
from handlers.chat.commands import Commands, Generate, Post
from handlers.chat.errors import ErrorCode
from handlers.chat.frames import (
    Authenticated,
    ChatCreated,
    ChatJoined,
    ChatLeft,
    Error,
    FinishReason,
    History,
    Pong,
    Role,
    UserMessage,
)
from handlers.chat.settings import Settings
from handlers.chat.store import Chat, Connection, Message, StoreError
from local.identity import token

SECRET = "a secret of at least thirty-two bytes"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Client:
    """One connection, and what the commands did for it."""

    def __init__(self, store, name):
        self.store = store
        self.name = name
        ids = (f"{name}id-{number:03}" for number in itertools.count())
        self.commands = Commands(
            store,
            Authenticator(SECRET, store.user_exists),
            Settings.of({"JWT_SECRET": SECRET, "MESSAGE_CHARS": "100"}),
            now=lambda: NOON,
            new_id=lambda: next(ids),
        )
        store.add_connection(Connection(name, NOON))

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

    def joins(self, user, chat_id=None):
        data = {"token": token(user, SECRET)} | ({"chatId": chat_id} if chat_id else {})
        return self.is_answered("join_chat", **data)


@pytest.fixture
def client(store):
    return Client(store, "c1=")


@pytest.fixture
def chat(store):
    return store.add_chat(Chat("alice", "chat"), NOON)


class TestJoinChat:
    def test_a_token_authenticates_the_connection(self, client, store):
        assert client.joins("alice") == [Authenticated(user_id="alice")]
        assert store.connection("c1=").user_id == "alice"

    def test_with_a_chat_its_history_is_shown(self, client, store, chat):
        store.accept("alice", Message("chat", "m1", Role.USER, "Hi", NOON))
        store.seal("alice", Message("chat", "m2", Role.ASSISTANT, "Hello", NOON, None, FinishReason.STOP), "Hi")
        authenticated, joined = client.joins("alice", "chat")
        assert authenticated == Authenticated(user_id="alice")
        assert (joined.title, joined.has_more) == ("Hi", False)
        assert [(view.role, view.content) for view in joined.messages] == [("user", "Hi"), ("assistant", "Hello")]

    def test_an_untitled_chat_is_called_new(self, client, chat):
        assert client.joins("alice", "chat")[1].title == "Новый чат"

    def test_the_chat_sends_to_the_connection_from_now_on(self, client, store, chat):
        client.joins("alice", "chat")
        assert store.chat("alice", "chat").subscribers == {"c1="}
        assert store.connection("c1=").chat_id == "chat"

    def test_once_authenticated_no_token_is_needed(self, client, chat):
        client.joins("alice")
        assert isinstance(client.is_answered("join_chat", chatId="chat")[1], ChatJoined)

    def test_a_bad_or_missing_token_leaves_the_connection_as_it_was(self, client, store, chat):
        client.joins("alice", "chat")
        assert client.is_refused("join_chat", token="bad") is ErrorCode.INVALID_TOKEN
        assert store.connection("c1=").chat_id == "chat"
        assert Client(store, "c2=").is_refused("join_chat") is ErrorCode.INVALID_TOKEN

    @pytest.mark.parametrize("chat_id", ["chat", "made-up", "ч" * 128])
    def test_a_foreign_chat_and_a_made_up_one_are_refused_alike(self, client, store, chat, chat_id):
        [error] = client.joins("bob", chat_id)
        assert (error.code, error.message) == (ErrorCode.CHAT_NOT_FOUND, "Chat not found or access denied")
        assert store.connection("c1=").user_id is None

    def test_another_users_token_takes_the_connection_out_of_the_old_chat(self, client, store, chat):
        client.joins("alice", "chat")
        client.joins("bob")
        assert store.chat("alice", "chat").subscribers == frozenset()
        assert store.connection("c1=") == Connection("c1=", NOON, "bob")

    def test_a_renewed_token_keeps_the_connection_in_its_chat(self, client, store, chat):
        client.joins("alice", "chat")
        client.joins("alice")
        assert store.chat("alice", "chat").subscribers == {"c1="}
        assert store.connection("c1=").chat_id == "chat"

    def test_a_connection_sees_one_chat_at_a_time(self, client, store, chat):
        store.add_chat(Chat("alice", "second"), NOON)
        client.joins("alice", "chat")
        client.joins("alice", "second")
        assert store.chat("alice", "chat").subscribers == frozenset()
        assert store.chat("alice", "second").subscribers == {"c1="}


class TestCreateChat:
    def test_it_needs_a_user(self, client):
        [error] = client.is_answered("create_chat")
        assert (error.code, error.message) == (ErrorCode.NOT_AUTHENTICATED, "Not authenticated")

    def test_a_new_chat_is_joined(self, client, store):
        client.joins("alice")
        [created] = client.is_answered("create_chat")
        assert created == ChatCreated(chat_id="c1=id-000", title="Новый чат")
        assert store.chat("alice", "c1=id-000").subscribers == {"c1="}

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

    def test_a_store_that_fails_is_told(self, client, store, monkeypatch):
        client.joins("alice")

        def fails(chat, now):
            raise StoreError("throttled")

        monkeypatch.setattr(type(store), "add_chat", lambda self, chat, now: fails(chat, now))
        assert client.is_refused("create_chat") is ErrorCode.CREATE_FAILED


class TestMessage:
    def test_it_is_stored_acknowledged_and_handed_over(self, client, store, chat):
        client.joins("alice", "chat")
        acknowledged, generate = client.sends("message", "r1", message="Hi", clientMessageId="mine")
        assert acknowledged == Post(
            UserMessage(
                message_id="c1=id-000",
                content="Hi",
                timestamp="2026-11-23T12:00:00.000Z",
                chat_id="chat",
                client_message_id="mine",
            ),
            "c1=",
            "r1",
        )
        assert generate.turn.payload() == {"user_id": "alice", "chat_id": "chat", "message_id": "c1=id-001"}
        [stored] = store.messages("chat")
        assert (stored.content, stored.client_message_id) == ("Hi", "mine")

    def test_the_other_devices_in_the_chat_see_it_too(self, client, store, chat):
        other = Client(store, "c2=")
        client.joins("alice", "chat")
        other.joins("alice", "chat")
        to_sender, to_other, generate = client.sends("message", "r1", message="Hi")
        assert (to_sender.connection_id, to_sender.request_id) == ("c1=", "r1")
        assert (to_other.connection_id, to_other.request_id) == ("c2=", None)
        assert to_other.frame == to_sender.frame
        assert isinstance(generate, Generate)

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
        assert list(store.messages("chat")) == []

    def test_the_limit_is_named_and_exact(self, client, store, chat):
        client.joins("alice", "chat")
        [error] = client.is_answered("message", message="👩" * 51, clientMessageId="mine")
        assert (error.code, error.message) == (
            ErrorCode.MESSAGE_TOO_LARGE,
            "Message is longer than 100 characters",
        )
        assert error.client_message_id == "mine"
        assert list(store.messages("chat")) == []
        assert len(client.sends("message", message="👩" * 50)) == 2

    def test_in_a_deleted_chat_nothing_is_stored(self, client, store):
        client.joins("alice")
        store.bind_connection("c1=", "alice", "deleted")
        assert client.is_refused("message", message="Hi") is ErrorCode.CHAT_NOT_FOUND
        assert list(store.messages("deleted")) == []

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
        assert [message.content for message in store.messages("chat")] == ["Hi"]


class TestTheRest:
    def test_older_messages_come_in_pages(self, client, store, chat):
        client.joins("alice", "chat")
        for number in range(5):
            store.accept("alice", Message("chat", f"m{number}", Role.USER, "Hi", NOON))
        [page] = client.is_answered("load_history", before="m3", limit=2)
        assert isinstance(page, History)
        assert ([view.message_id for view in page.messages], page.has_more) == (["m1", "m2"], True)

    def test_history_needs_a_chat(self, client):
        assert client.is_refused("load_history", before="m3") is ErrorCode.NOT_AUTHENTICATED

    def test_leaving_a_chat_ends_its_frames(self, client, store, chat):
        client.joins("alice", "chat")
        assert client.is_answered("leave_chat") == [ChatLeft(chat_id="chat")]
        assert store.chat("alice", "chat").subscribers == frozenset()
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
        monkeypatch.setattr(client.commands.store.__class__, "connection", lambda *_: 1 / 0)
        [action] = client.sends("ping", "r1")
        assert (action.frame.code, action.request_id) == (ErrorCode.INTERNAL, "r1")
        assert action.frame.message == "Something went wrong on our side. Reference: ref"
