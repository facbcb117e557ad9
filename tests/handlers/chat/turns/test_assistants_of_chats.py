"""Chats with assistants: created, joined, and asked in, also when the assistant's file is gone."""

import pytest

from handlers.chat.assistants import Assistant
from handlers.chat.errors import ErrorCode
from handlers.chat.records import Chat
from handlers.chat.turns import lifecycle
from handlers.chat.turns.actions import Begin, Generate
from tests.support.assistants import assistants
from tests.support.command_client import NOON, CommandClient
from tests.support.conversation import answer, ask

TEA = assistants(tea=Assistant(title="Tea"))
BROKEN_DEFAULT = assistants(default=None, tea=Assistant())
UNLIMITED = {"MESSAGES_PER_MINUTE": "0", "CONCURRENT_REPLIES": "0", "CONNECTIONS_PER_USER": "0"}


@pytest.fixture
def client(store):
    client = CommandClient(store, "c1=", TEA)
    client.joins("alice")
    return client


@pytest.fixture
def tea_chat(store):
    return store.chats.add(Chat("alice", "chat", assistant="tea"), NOON)


def kept(store, chat_id="c1=id-000"):
    return store.chats.get("alice", chat_id)


class TestCreating:
    def test_a_chat_remembers_its_assistant(self, client, store):
        [created] = client.is_answered("create_chat", assistant="tea")
        assert (created.assistant, kept(store).assistant) == ("tea", "tea")
        [_, joined] = client.is_answered("join_chat", chatId=created.chat_id)
        assert joined.assistant == "tea"

    @pytest.mark.parametrize("named", [{}, {"assistant": None}, {"assistant": "default"}])
    def test_without_one_it_is_the_default_one_and_nothing_is_kept(self, client, store, named):
        [created] = client.is_answered("create_chat", **named)
        assert (created.assistant, kept(store).assistant) == ("default", None)
        [_, joined] = client.is_answered("join_chat", chatId=created.chat_id)
        assert joined.assistant == "default"

    @pytest.mark.parametrize("named", ["coffee", "Tea", "../tea", "handlers.assistants.default", "é" * 128])
    def test_an_unknown_one_is_refused_and_nothing_is_created(self, client, store, named):
        assert client.is_refused("create_chat", assistant=named) is ErrorCode.UNKNOWN_ASSISTANT
        assert kept(store) is None
        assert store.connections.get("c1=").chat_id is None

    @pytest.mark.parametrize("named", ["", "x" * 129, 5, ["tea"], {"id": "tea"}, True])
    def test_a_name_of_the_wrong_form_is_an_invalid_frame(self, client, named):
        assert client.is_refused("create_chat", assistant=named) is ErrorCode.INVALID_FORMAT

    def test_the_same_client_chat_id_gives_the_same_chat_with_its_own_assistant(self, client):
        first = client.is_answered("create_chat", assistant="tea", clientChatId="mine")
        assert client.is_answered("create_chat", clientChatId="mine") == first
        assert client.is_answered("create_chat", clientChatId="mine", assistant="default") == first

    def test_a_stranger_learns_nothing_of_assistants(self, store):
        stranger = CommandClient(store, "c2=", TEA)
        for named in ("tea", "coffee"):
            assert stranger.is_refused("create_chat", assistant=named) is ErrorCode.NOT_AUTHENTICATED

    def test_while_the_default_one_is_broken_its_chats_can_be_created_and_read(self, store):
        client = CommandClient(store, "c1=", BROKEN_DEFAULT)
        client.joins("alice")
        [created] = client.is_answered("create_chat")
        assert client.is_refused("message", message="Hi") is ErrorCode.UNAVAILABLE
        [_, joined] = client.is_answered("join_chat", chatId=created.chat_id)
        assert (joined.assistant, joined.messages) == ("default", ())


class TestAsking:
    def test_the_worker_is_told_which_assistant_answers(self, client, tea_chat):
        client.joins("alice", "chat")
        [begin] = client.sends("message", message="Hi")
        assert isinstance(begin, Begin)
        assert begin.handover.assistant == "tea"
        assert begin.handover.payload()["assistant"] == "tea"

    def test_in_a_chat_with_the_default_one_the_worker_is_told_nothing(self, client, store):
        store.chats.add(Chat("alice", "chat"), NOON)
        client.joins("alice", "chat")
        [begin] = client.sends("message", message="Hi")
        assert "assistant" not in begin.handover.payload()

    def test_so_it_is_when_the_turn_is_handed_on_or_the_reply_made_again(self, client, store, tea_chat):
        client.joins("alice", "chat")
        handover = ask(store, "a1", "a2")
        assert lifecycle.handover_of(kept(store, "chat"), kept(store, "chat").turn).assistant == "tea"
        answer(store, handover)
        [generate] = client.sends("regenerate")
        assert isinstance(generate, Generate)
        assert generate.handover.assistant == "tea"


@pytest.mark.parametrize("limits", [{}, UNLIMITED], ids=["default limits", "no limits"])
class TestAnAssistantThatIsGone:
    """The chats of an assistant stay when its file goes: people read them, and nobody answers in them."""

    @pytest.fixture
    def client(self, store, limits, tea_chat):
        answer(store, ask(store, "m1", "m2", "Which?", client_message_id="mine"), "Green")
        client = CommandClient(store, "c1=", assistants(), **limits)
        [_, self.joined] = client.joins("alice", "chat")
        return client

    def test_its_chat_stays_readable(self, client):
        assert self.joined.assistant == "tea"
        assert [each.content for each in self.joined.messages] == ["Which?", "Green"]
        [history] = client.is_answered("load_history", before="m2")
        assert [each.content for each in history.messages] == ["Which?"]

    def test_a_message_is_refused_and_takes_nothing(self, client, store):
        before = store.users.quota_usage("alice")
        [error] = client.is_answered("message", message="Hi", clientMessageId="new")
        assert (error.code, error.client_message_id) == (ErrorCode.UNKNOWN_ASSISTANT, "new")
        assert error.message == "There is no such assistant"
        assert len(list(store.messages.newest_first("chat"))) == 2
        assert (kept(store, "chat").turn, store.users.quota_usage("alice")) == (None, before)

    def test_a_message_that_was_stored_before_is_acknowledged_again(self, client):
        [acknowledged] = client.is_answered("message", message="Which?", clientMessageId="mine")
        assert (acknowledged.message_id, acknowledged.duplicate) == ("m1", True)

    def test_a_reply_is_not_made_again(self, client, store):
        before = store.users.quota_usage("alice")
        assert client.is_refused("regenerate") is ErrorCode.UNKNOWN_ASSISTANT
        assert (kept(store, "chat").turn, store.users.quota_usage("alice")) == (None, before)

    def test_other_frames_go_on(self, client, store):
        assert [each.type for each in client.is_answered("ping")] == ["pong"]
        assert client.is_refused("cancel") is ErrorCode.NOTHING_TO_CANCEL
        assert [each.type for each in client.is_answered("leave_chat")] == ["chat_left"]
