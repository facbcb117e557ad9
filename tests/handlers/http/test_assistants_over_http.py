"""Assistants over HTTP: listed, chosen for a new chat, shown with each chat, and named by the health check."""

from dataclasses import replace

import pytest

from handlers import api
from handlers.chat.assistants import Assistant
from handlers.chat.records import Chat
from tests.support.assistants import assistants
from tests.support.conversation import answer, ask
from tests.support.http_api import request, services
from tests.support.runtime import NOON, FakeRuntime

TEA = Assistant(title={"ru": "Чай", "en": "Tea"}, starters=("Which tea?",), instructions="Secret: pour.")


@pytest.fixture
def known(invocations):
    """Give the API the assistants `default` and `tea`, or those that a test gives."""

    def know(those):
        settings = replace(api.wired.settings, assistants=those)
        return services(
            functions=invocations, gateway=invocations.gateway, runtime=FakeRuntime(NOON), settings=settings
        )

    return know


@pytest.fixture
def tea(known):
    with known(assistants(tea=TEA)):
        yield


def test_they_are_listed_with_their_titles_and_starters_and_nothing_else(tea):
    listed = request("GET", "/assistants", "alice")
    assert (listed.status, listed.json) == (
        200,
        {
            "assistants": [
                {"id": "default", "title": "default", "starters": []},
                {"id": "tea", "title": "Чай", "starters": ["Which tea?"]},
            ]
        },
    )
    assert "pour" not in listed.text


def test_they_are_listed_for_users_only(tea):
    assert request("GET", "/assistants").code == "not_authenticated"


class TestANewChat:
    def test_has_the_assistant_that_it_names(self, tea, store):
        created = request("POST", "/chats", "alice", {"assistant": "tea"})
        assert (created.status, created.json["assistant"]) == (201, "tea")
        chat_id = created.json["chatId"]
        assert store.chats.get("alice", chat_id).assistant == "tea"
        assert request("GET", f"/chats/{chat_id}", "alice").json["assistant"] == "tea"
        renamed = request("PATCH", f"/chats/{chat_id}", "alice", {"title": "Tea"})
        assert renamed.json["assistant"] == "tea"

    @pytest.mark.parametrize("body", [{}, {"assistant": None}, {"assistant": "default"}])
    def test_has_the_default_one_otherwise(self, tea, store, body):
        created = request("POST", "/chats", "alice", body).json
        assert created["assistant"] == "default"
        assert store.chats.get("alice", created["chatId"]).assistant is None

    @pytest.mark.parametrize(
        ("named", "code"),
        [
            ("coffee", "unknown_assistant"),
            ("../tea", "unknown_assistant"),
            ("", "invalid_format"),
            (5, "invalid_format"),
        ],
    )
    def test_is_refused_with_another_one(self, tea, named, code):
        refused = request("POST", "/chats", "alice", {"assistant": named})
        assert (refused.status, refused.code) == (422, code)
        assert request("GET", "/chats", "alice").json["chats"] == []

    def test_is_returned_unchanged_with_the_same_client_chat_id(self, tea):
        first = request("POST", "/chats", "alice", {"assistant": "tea", "clientChatId": "mine"}).json
        assert request("POST", "/chats", "alice", {"clientChatId": "mine"}).json == first


class TestChats:
    @pytest.fixture(autouse=True)
    def chats(self, store):
        for number, assistant in enumerate(["tea", None, "gone"]):
            store.chats.add(Chat("alice", f"chat-{number}", "Title", assistant=assistant), NOON.replace(minute=number))
        store.chats.add(Chat("bob", "chat-0", assistant="bobs"), NOON)

    def listed(self):
        return [(each["chatId"], each["assistant"]) for each in request("GET", "/chats", "alice").json["chats"]]

    def test_a_list_says_which_assistant_answers_also_one_that_is_gone(self, tea):
        assert self.listed() == [("chat-2", "gone"), ("chat-1", "default"), ("chat-0", "tea")]

    def test_pages_of_any_length_say_it(self, tea):
        page = request("GET", "/chats", "alice", limit=1).json
        assert [each["assistant"] for each in page["chats"]] == ["gone"]
        rest = request("GET", "/chats", "alice", limit=100, cursor=page["cursor"]).json
        assert [each["assistant"] for each in rest["chats"]] == ["default", "tea"]

    def test_no_chats_need_no_look(self, tea):
        assert request("GET", "/chats", "root").json["chats"] == []

    def test_a_deployment_with_the_default_one_alone_looks_at_its_index_only(self, known, store, monkeypatch):
        monkeypatch.setattr(store.chats, "with_assistants", lambda chats: pytest.fail("it costs a read for each chat"))
        with known(assistants()):
            assert {assistant for _, assistant in self.listed()} == {"default"}

    @pytest.mark.parametrize("shape", ["json", "markdown"])
    def test_an_export_carries_it(self, tea, store, shape):
        answer(store, ask(store, "m1", "m2", "Which?", chat_id="chat-0"), "Green")
        exported = request("GET", "/chats/chat-0/export", "alice", format=shape)
        if shape == "json":
            assert exported.json["chat"]["assistant"] == "tea"
        else:
            assert exported.text.startswith("# Title\n\nAssistant: tea\n\n## User, ")


class TestHealth:
    def test_a_broken_file_is_named(self, known):
        broken = replace(assistants(), broken={"handlers/assistants/tea.py": "KeyError: 'SECRET'"})
        with known(broken):
            answered = request("GET", "/health")
        assert (answered.status, answered.json) == (
            503,
            {"status": "misconfigured", "assistants": ["handlers/assistants/tea.py"]},
        )

    def test_without_one_all_is_well(self, tea):
        assert request("GET", "/health").json == {"status": "ok"}
