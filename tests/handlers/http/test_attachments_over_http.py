"""Attachments over HTTP: forms for uploads, links to files, each for its owner only."""

import base64
import json
from dataclasses import replace

import pytest

from handlers import api
from handlers.chat.records import Chat, Message, Role
from handlers.chat.store.attachments import Place
from handlers.chat.store.tables import MessageItem
from tests.support.conversation import NOON
from tests.support.files import BUCKET, PNG, put, upload
from tests.support.http_api import request

FILE = {"chatId": "chat", "name": "чай.png", "type": "image/png", "bytes": len(PNG)}


@pytest.fixture(autouse=True)
def chat(store, files):
    services = api.app.state.services
    api.app.state.services = replace(services, store=store)
    yield store.chats.add(Chat("alice", "chat", created_at=NOON), NOON)
    api.app.state.services = services


@pytest.fixture
def settings():
    """Return what changes settings of the API for this test; `chat` puts the old services back."""

    def change(**changed):
        services = api.app.state.services
        api.app.state.services = replace(services, settings=replace(services.settings, **changed))

    return change


def keep(store, attachment_id, **more):
    attachment = upload(store, attachment_id, **more)
    place = Place.of(store.chats.get("alice", "chat"))
    store.attachments.keep(place, store.attachments.uploaded(place, attachment_id))
    return attachment


def test_a_form_is_made_for_one_file(store, chat):
    answer = request("POST", "/attachments", "alice", FILE)
    assert answer.status == 201
    made = answer.json
    assert (made["name"], made["type"], made["bytes"]) == ("чай.png", "image/png", len(PNG))
    assert (BUCKET in made["url"], made["expiresAt"]) == (True, "2026-11-23T12:10:00.000Z")
    put(made["fields"], PNG)
    assert store.attachments.uploaded(Place.of(chat), made["id"]).attachment.name == "чай.png"
    policy = json.loads(base64.b64decode(made["fields"]["policy"]))
    assert ["content-length-range", len(PNG), len(PNG)] in policy["conditions"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"type": "application/pdf"}, 415, "attachment_type"),
        ({"type": "image/svg+xml"}, 415, "attachment_type"),
        ({"bytes": 5 * 2**20 + 1}, 413, "attachment_too_large"),
        ({"bytes": 0}, 422, "invalid_format"),
        ({"bytes": -1}, 422, "invalid_format"),
        ({"bytes": "10"}, 422, "invalid_format"),
        ({"bytes": None}, 422, "invalid_format"),
        ({"name": ""}, 422, "invalid_format"),
        ({"name": " \n"}, 422, "invalid_format"),
        ({"name": "a" * 101}, 422, "invalid_format"),
        ({"chatId": "made-up"}, 404, "chat_not_found"),
        ({"chatId": "bobs"}, 404, "chat_not_found"),
        ({"chatId": "../chat"}, 404, "chat_not_found"),
    ],
)
def test_bad_input_gets_a_clear_refusal(store, change, status, code):
    store.chats.add(Chat("bob", "bobs", created_at=NOON), NOON)
    answer = request("POST", "/attachments", "alice", FILE | change)
    assert (answer.status, answer.code) == (status, code)


def test_a_user_without_a_token_gets_no_form():
    assert request("POST", "/attachments", None, FILE).status == 401


def test_what_a_deployment_does_not_take_is_refused(settings, files, monkeypatch):
    settings(prompt_images=0)
    answer = request("POST", "/attachments", "alice", FILE)
    assert (answer.code, answer.json["detail"]) == ("attachment_type", "The model of this deployment takes no images")
    settings(attachment_megabytes=0)
    assert request("POST", "/attachments", "alice", FILE).json["detail"] == "This deployment takes no attachments"
    settings(attachment_megabytes=5, prompt_images=8)
    monkeypatch.setattr(files, "_bucket", "")
    assert request("POST", "/attachments", "alice", FILE).json["detail"] == "This deployment takes no attachments"
    assert request("GET", "/chats/chat/attachments/one", "alice").code == "attachment_not_found"


def test_a_link_works_for_the_owner_of_the_chat_only(store):
    keep(store, "one")
    upload(store, "unused")
    answer = request("GET", "/chats/chat/attachments/one", "alice")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert (answer.json["name"], answer.json["expiresAt"]) == ("tea.png", "2026-11-23T12:05:00.000Z")
    assert "files/YWxpY2U/chat/" in answer.json["url"]
    for user, chat_id, attachment_id, code in (
        ("bob", "chat", "one", "chat_not_found"),
        ("alice", "other", "one", "chat_not_found"),
        ("alice", "chat", "unused", "attachment_not_found"),
        ("alice", "chat", "made-up", "attachment_not_found"),
        ("alice", "chat", "..", "attachment_not_found"),
        ("alice", "chat", "a b", "attachment_not_found"),
    ):
        answer = request("GET", f"/chats/{chat_id}/attachments/{attachment_id}", user)
        assert (answer.status, answer.code) == (404, code), attachment_id


def test_messages_and_exports_name_them(store):
    one = keep(store, "one")
    plain = Message("chat", "m1", Role.USER, "Hi", NOON)
    for message in (plain, replace(plain, message_id="m3", attachments=(one,))):
        MessageItem.of(message).save()
    view = {"id": "one", "name": "tea.png", "type": "image/png", "bytes": len(PNG)}
    for path in ("/chats/chat/messages", "/chats/chat/export"):
        first, second = request("GET", path, "alice").json["messages"]
        assert "attachments" not in first
        assert second["attachments"] == [view]
    text = request("GET", "/chats/chat/export", "alice", format="markdown").text
    assert "tea.png (image/png): /chats/chat/attachments/one" in text
