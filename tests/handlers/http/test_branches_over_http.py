"""Branches in the HTTP API: pages show the active path with its siblings, exports have everything."""

import pytest

from handlers.chat.records import Chat
from tests.support.conversation import NOON, answer, ask, regenerating
from tests.support.http_api import request


@pytest.fixture(autouse=True)
def branched(store):
    """m1, and after it m2 and m3, which is shown; after that m4 and m5."""
    store.chats.add(Chat("alice", "chat"), NOON)
    answer(store, handover := ask(store, "m1", "m2"))
    assert store.turns.begin(store.chats.get("alice", "chat"), regenerating("m3", "m2", after="m1"), NOON)
    answer(store, type(handover)("alice", "chat", "m3"))
    answer(store, ask(store, "m4", "m5"))


def pages(**query):
    found = request("GET", "/chats/chat/messages", "alice", **query).json
    return [(each["messageId"], each.get("siblings"), each.get("after")) for each in found["messages"]], found["before"]


def test_pages_are_of_the_path_that_is_shown():
    shown = [("m1", None, None), ("m3", ["m2", "m3"], "m1"), ("m4", None, None), ("m5", None, None)]
    assert pages() == (shown, None)
    assert pages(limit="2") == (shown[2:], "m4")
    assert pages(limit="2", before="m4") == (shown[:2], None)
    assert pages(before="m3") == (shown[:1], None)
    assert pages(after="m1") == (shown[1:], "m3")
    assert pages(after="m3", limit="1") == (shown[2:3], "m4")


def test_a_page_before_a_message_that_is_not_shown_is_of_its_path():
    assert pages(before="m2")[0] == [("m1", None, None)]


def test_an_export_has_all_branches(store):
    exported = request("GET", "/chats/chat/export", "alice").json
    assert [(each["messageId"], each.get("after")) for each in exported["messages"]] == [
        ("m1", None),
        ("m2", None),
        ("m3", "m1"),
        ("m4", None),
        ("m5", None),
    ]
    assert "leaf" not in exported
    fork = store.branches.fork("chat", "m2")
    assert store.turns.select(store.chats.get("alice", "chat"), fork, "m2")
    assert request("GET", "/chats/chat/export", "alice").json["leaf"] == "m2"
    text = request("GET", "/chats/chat/export", "alice", format="markdown").text
    assert text.count("*Another branch, after 2026-11-23T12:00:00.000Z*") == 1
