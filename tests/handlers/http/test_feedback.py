"""Feedback on replies: the last one counts, the user sees the rating, administrators see all. It goes with its chat."""

from datetime import timedelta

import pytest

from handlers.chat.erasure import delete_chat, erase
from handlers.chat.protocol import views
from handlers.chat.records import Chat, Rating
from tests.support.conversation import NOON, answer, ask
from tests.support.http_api import request

PATH = "/chats/chat/messages/{}/feedback"


@pytest.fixture(autouse=True)
def chat(store):
    store.chats.add(Chat("alice", "chat"), NOON)
    answer(store, ask(store, "m1", "m2"))
    answer(store, ask(store, "m3", "m4"))


def rate(message_id="m2", user="alice", **body):
    return request("POST", PATH.format(message_id), user, body)


def listed(**query):
    return request("GET", "/admin/feedback", "root", **query).json


def shown():
    return [each.get("feedback") for each in request("GET", "/chats/chat/messages", "alice").json["messages"]]


def test_the_last_one_counts_and_the_user_sees_it(store):
    assert rate(rating="up", text="Fine").status == 204
    assert rate(rating="down").status == 204
    assert shown() == [None, "down", None, None]
    message = store.messages.get("chat", "m2")
    assert message.feedback is Rating.DOWN
    assert views.view(message).as_data()["feedback"] == "down"
    [kept] = listed()["feedback"]
    assert kept == {
        "userId": "alice",
        "chatId": "chat",
        "messageId": "m2",
        "rating": "down",
        "text": None,
        "givenAt": "2026-11-23T12:00:00.000Z",
    }


def test_it_can_be_taken_back_twice():
    rate(rating="up")
    for _ in range(2):
        assert request("DELETE", PATH.format("m2"), "alice").status == 204
        assert (shown(), listed()["feedback"]) == ([None] * 4, [])


def test_administrators_read_it_by_month_in_pages_the_newest_reply_first(store):
    answer(store, ask(store, "m5", "m6", now=NOON - timedelta(days=30)), now=NOON - timedelta(days=30))
    for message_id in ("m2", "m4", "m6"):
        rate(message_id, rating="up", text=f"about {message_id}")
    first = listed(limit=1)
    assert [each["text"] for each in first["feedback"]] == ["about m4"]
    second = listed(limit=1, cursor=first["cursor"])
    assert ([each["text"] for each in second["feedback"]], second["cursor"]) == (["about m2"], None)
    assert [each["messageId"] for each in listed(month="2026-10")["feedback"]] == ["m6"]
    assert listed(month="2026-09") == {"feedback": [], "cursor": None}
    assert request("GET", "/admin/feedback", "root", month="2026-13").code == "invalid_format"
    assert request("GET", "/admin/feedback", "root", cursor="x").code == "invalid_format"
    assert request("GET", "/admin/feedback", "alice").code == "forbidden"


@pytest.mark.parametrize(
    ("message_id", "user", "code"),
    [
        ("m1", "alice", "message_not_found"),
        ("m9", "alice", "message_not_found"),
        ("m2", "bob", "chat_not_found"),
    ],
)
def test_only_a_reply_in_an_own_chat_is_rated(message_id, user, code):
    assert rate(message_id, user, rating="up").code == code
    assert request("DELETE", PATH.format(message_id), user).code == code
    assert listed()["feedback"] == []


@pytest.mark.parametrize(
    "body", [{}, {"rating": "fine"}, {"rating": 1}, {"rating": "up", "text": ""}, {"rating": "up", "text": "x" * 2_001}]
)
def test_a_wrong_one_is_refused(body):
    assert rate(**body).code == "invalid_format"
    assert shown() == [None] * 4


def test_it_goes_with_its_chat(store):
    rate(rating="up", text="Fine")
    handed = []
    delete_chat(store, "alice", "chat", handed.append, lambda *_: None)
    reply = store.messages.get("chat", "m4")
    given = next(iter(store.feedback.page("2026-11", 9, None).items))
    assert not store.feedback.give(given, reply)
    for work in handed:
        erase(store, work, lambda *_: None, lambda: 900.0)
    assert listed()["feedback"] == []
