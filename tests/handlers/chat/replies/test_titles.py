"""Titles by a model: after the reply, in place of the automatic title only, and never in the reply's way."""

import pytest

from handlers.chat.errors import ModelFailed
from handlers.chat.records import Chat, FinishReason, Usage
from handlers.chat.replies import titles
from handlers.chat.replies.deltas import Delta
from tests.support.conversation import ask
from tests.support.recording_gateway import RecordingGateway
from tests.support.reply_worker import NOON, STOP, TURN, ScriptedModel, TwoModels, join, make_reply


@pytest.fixture
def gateway():
    return RecordingGateway()


@pytest.fixture(autouse=True)
def chat(store):
    store.chats.add(Chat("alice", "chat"), NOON)
    join(store, "c1=")
    ask(store, "m1", "m2", "How are you?")


def made(store, gateway, *script, reply=None, **more):
    """Have the first reply made. Returns the model of titles, and the titles that the devices heard."""
    title = ScriptedModel(*script)
    models = TwoModels(reply or ScriptedModel("Fine", STOP), title)
    sent = make_reply(store, gateway, models, **({"title_model": "cheap"} | more))
    return title, [frame.title for _, frame in sent]


def test_it_takes_the_place_of_the_automatic_one(store, gateway):
    title, heard = made(store, gateway, ' "A friendly', ' greeting".\n', STOP)
    assert store.chats.get("alice", "chat").title == "A friendly greeting"
    assert heard == ["How are you?", "A friendly greeting"]
    assert title.asked == [[("user", "How are you?"), ("assistant", "Fine"), ("user", titles.REQUEST)]]
    [question] = title.questions
    assert question.assistant.max_completion_tokens == titles.MAX_TITLE_TOKENS
    assert title.closed


def test_without_the_setting_nothing_is_asked(store, gateway):
    title, heard = made(store, gateway, "Title", STOP, title_model="")
    assert (title.asked, heard) == ([], ["How are you?"])


def test_the_reply_is_stored_and_announced_before(store, gateway):
    seen = []

    def look():
        chat = store.chats.get("alice", "chat")
        seen.append((chat.turn, chat.announcements, gateway.kinds("c1=")[-1]))

    made(store, gateway, look, "Title", STOP)
    assert seen == [(None, frozenset(), "complete")]


def test_a_title_that_a_user_has_given_meanwhile_stays(store, gateway):
    _, heard = made(store, gateway, lambda: store.chats.rename("alice", "chat", "Mine"), "Title", STOP)
    assert store.chats.get("alice", "chat").title == "Mine"
    assert heard == ["How are you?"]


def test_a_chat_that_is_deleted_meanwhile_stays_deleted(store, gateway):
    made(store, gateway, lambda: store.chats.delete("alice", "chat", NOON), "Title", STOP)
    assert store.chats.get("alice", "chat") is None


@pytest.mark.parametrize(
    "script",
    [[ModelFailed("503")], ["Half", ModelFailed("503")], [ValueError("broken")], [" \n", STOP], ['""', STOP], [STOP]],
    ids=["it fails", "it fails half-way", "it breaks", "it is blank", "it is quotes", "it says nothing"],
)
def test_the_automatic_one_stays_if_none_comes(store, gateway, script):
    _, heard = made(store, gateway, *script)
    assert store.chats.get("alice", "chat").title == "How are you?"
    assert heard == ["How are you?"]
    assert gateway.kinds("c1=")[-1] == "complete"


def test_a_model_that_is_silent_is_stopped(store, gateway, monkeypatch):
    monkeypatch.setattr(titles, "TITLE_SECONDS", 0.01)
    title = ScriptedModel()
    title.script = [title.until_stopped]
    title.close = title.stop
    make_reply(store, gateway, TwoModels(ScriptedModel("Fine", STOP), title), title_model="cheap")
    assert title.stopped.is_set()
    assert store.chats.get("alice", "chat").title == "How are you?"


@pytest.mark.parametrize(
    ("reply", "more"),
    [(ScriptedModel(ModelFailed("503")), {}), (ScriptedModel("Fine", STOP), {"remaining": 4.0})],
    ids=["the reply failed", "no time is left"],
)
def test_then_no_title_is_asked_for(store, gateway, reply, more):
    title, _ = made(store, gateway, "Title", STOP, reply=reply, **more)
    assert title.asked == []


def test_it_is_one_line_of_fifty_characters(store, gateway):
    made(store, gateway, "one\ntwo " + "x" * 100, STOP)
    title = store.chats.get("alice", "chat").title
    assert (title[:8], len(title)) == ("one two ", 53)


def test_its_tokens_count_against_the_budget(store, gateway):
    end = Delta("", FinishReason.STOP, Usage(prompt_tokens=10, completion_tokens=5))
    made(store, gateway, "Title", end, reply=ScriptedModel("Fine", end), tokens_per_day=100_000)
    assert store.users.token_use("alice", "2026-11-23").tokens == 30


def test_a_later_reply_asks_for_none(store, gateway):
    made(store, gateway, "Title", STOP)
    handover = ask(store, "m3", "m4", "And you?")
    assert handover != TURN
    title, heard = made(store, gateway, "Other", STOP, turn=handover)
    assert (title.asked, heard, store.chats.get("alice", "chat").title) == ([], [], "Title")
