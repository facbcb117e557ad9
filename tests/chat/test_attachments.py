"""Attachments in a running deployment: a browser's upload, a message, the model, a link, and the deletion."""

from urllib.parse import urlsplit

import httpx2
import pytest
from parley.dev_tokens import token

from tests.support.devices import SECRET
from tests.support.waiting import HANGS, until

PAGE = "http://localhost:5173"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(60) + b"\r\n--not-a-boundary\r\n"
BUCKET = "attachmentsbucket"


@pytest.fixture(scope="module")
def http():
    with httpx2.Client(timeout=HANGS) as client:
        yield client


@pytest.fixture
def call(emulator, http):
    def call(method, path, user="alice", **body):
        headers = {"Authorization": f"Bearer {token(user, SECRET)}"}
        return http.request(method, f"{emulator.url}{path}", headers=headers, json=body or None)

    return call


@pytest.fixture
def alice(device):
    alice = device()
    alice.join("alice")
    alice.chat = alice.create_chat()
    return alice


@pytest.fixture
def upload(http, call):
    """Return what uploads a file to a chat as a page does, and returns its id and S3's answer."""

    def upload(chat_id, name, type_, content, sent=None, **changed):
        form = call("POST", "/attachments", chatId=chat_id, name=name, type=type_, bytes=len(content)).json()
        files = {"file": (name, content if sent is None else sent, type_)}
        answer = http.post(form["url"], data=form["fields"] | changed, files=files, headers={"Origin": PAGE})
        return form["id"], answer

    return upload


def keys(emulator, chat_id):
    listed = emulator.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", ())
    return sorted(each["Key"].partition("/")[0] for each in listed if chat_id in each["Key"])


def assert_rights_are_exact(emulator):
    """Assert that a whole life of files uses what the roles grant on them, and nothing else."""
    roles = emulator.roles()
    used = {(name, each["action"]) for name, role in roles.items() for each in role["used"]}
    assert {each for each in used if each[1].startswith("s3:")} == {
        ("ApiFunction", "s3:PutObject"),
        ("ApiFunction", "s3:GetObject"),
        ("DefaultFunction", "s3:GetObject"),
        ("DefaultFunction", "s3:PutObject"),
        ("GenerateFunction", "s3:GetObject"),
        ("EraseFunction", "s3:ListBucket"),
        ("EraseFunction", "s3:DeleteObject"),
    }
    assert not any("attachmentsbucket" in each["resource"] for role in roles.values() for each in role["missing"])


def test_a_file_goes_from_a_page_to_the_model_to_the_history_and_away(emulator, alice, upload, call, http):
    image, answer = upload(alice.chat, "чай & tea.png", "image/png", PNG)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, PAGE)
    notes, answer = upload(alice.chat, "notes.txt", "text/plain", b"The tea is green.")
    assert answer.status_code == 204
    upload(alice.chat, "unused.txt", "text/plain", b"Never sent.")
    assert keys(emulator, alice.chat) == ["uploads"] * 3

    alice.send("message", message="What is this?", attachments=[image, notes])
    views = [
        {"id": image, "name": "чай & tea.png", "type": "image/png", "bytes": len(PNG)},
        {"id": notes, "name": "notes.txt", "type": "text/plain", "bytes": 17},
    ]
    assert alice.receive("user_message")["data"]["attachments"] == views
    said = alice.reply()[-1]["data"]["content"]
    assert f"чай & tea.png, notes.txt. Images that I was shown: image/png, {len(PNG)} bytes." in said or (
        f"чай & tea.png, notes.txt. Мне показаны изображения: image/png, {len(PNG)} bytes." in said
    )
    assert keys(emulator, alice.chat) == ["files"] * 2 + ["uploads"] * 3
    [question, _] = call("GET", f"/chats/{alice.chat}/messages").json()["messages"]
    assert question["attachments"] == views

    link = call("GET", f"/chats/{alice.chat}/attachments/{image}").json()["url"]
    got = http.get(link, headers={"Origin": PAGE, "Sec-Fetch-Site": "cross-site"})
    assert (got.status_code, got.content, got.headers["content-type"]) == (200, PNG, "image/png")
    assert got.headers["content-disposition"].startswith("attachment")
    assert got.headers["access-control-allow-origin"] == PAGE
    for user, path in (("bob", f"/chats/{alice.chat}"), ("alice", "/chats/other")):
        assert call("GET", f"{path}/attachments/{image}", user).status_code == 404

    assert call("DELETE", f"/chats/{alice.chat}").status_code == 204
    until(lambda: keys(emulator, alice.chat) == [])
    assert http.get(link).status_code == 404
    assert_rights_are_exact(emulator)


@pytest.mark.parametrize(
    ("sent", "changed", "code"),
    [
        (b"x" * 16, {}, "EntityTooSmall"),
        (b"x" * 18, {}, "EntityTooLarge"),
        (None, {"Content-Type": "text/html"}, "AccessDenied"),
        (None, {"key": "uploads/elsewhere"}, "AccessDenied"),
        (None, {"x-amz-meta-name": "other"}, "AccessDenied"),
        (None, {"x-amz-meta-more": "1"}, "AccessDenied"),
        (None, {"policy": ""}, "AccessDenied"),
        (None, {"policy": "e30="}, "SignatureDoesNotMatch"),
        (None, {"x-amz-signature": "0" * 64}, "SignatureDoesNotMatch"),
    ],
    ids=["small", "large", "type", "key", "name", "field", "no policy", "policy", "signature"],
)
def test_a_form_is_good_for_its_own_file_only(emulator, alice, upload, sent, changed, code):
    attachment, answer = upload(alice.chat, "a.txt", "text/plain", b"The tea is green.", sent, **changed)
    assert f"<Code>{code}</Code>" in answer.text
    assert keys(emulator, alice.chat) == []
    alice.send("message", message="Hi", attachments=[attachment])
    assert alice.receive("error")["data"]["code"] == "attachment_not_found"


def test_a_message_takes_only_what_is_what_it_says(alice, upload):
    attachment, answer = upload(alice.chat, "a.png", "image/png", b"<script>alert(1)</script>")
    assert answer.status_code == 204
    alice.send("message", message="Hi", attachments=[attachment])
    error = alice.receive("error")["data"]
    assert (error["code"], error["message"]) == ("attachment_type", "a.png is no image/png")


def test_pages_that_nobody_allowed_get_no_leave(emulator, alice, upload, http, call):
    attachment, _ = upload(alice.chat, "a.txt", "text/plain", b"The tea is green.")
    alice.send("message", message="Hi", attachments=[attachment])
    alice.reply_to = alice.receive("user_message")
    alice.reply()
    link = call("GET", f"/chats/{alice.chat}/attachments/{attachment}").json()["url"]
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    asks = {"Access-Control-Request-Method": "GET"}
    assert http.options(link, headers=evil | asks).status_code == 403
    assert http.options(link, headers={"Origin": PAGE} | asks).status_code == 200
    # As on AWS, who has a link may fetch it, and the page may not read the answer.
    assert "access-control-allow-origin" not in http.get(link, headers=evil).headers
    broken = link.replace("X-Amz-Expires=300", "X-Amz-Expires=3000")
    assert http.get(broken, headers=evil).status_code == 403
    bare = urlsplit(link)._replace(query="").geturl()
    assert http.get(bare, headers=evil).json() == {"message": "Web pages may not call this"}
    posted = http.post(f"{emulator.url}/_parley/aws/s3/{BUCKET}", data={"key": "x"}, files={"file": b"x"}, headers=evil)
    assert "<Code>AccessDenied</Code>" in posted.text
