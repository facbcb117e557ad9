"""Attachments in S3: what is uploaded, kept, linked to and deleted, and where."""

import base64
import json
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.records import MAX_USER_ID_CHARS, Attachment
from handlers.chat.store import StoreError
from handlers.chat.store.attachments import Attachments, Place
from tests.support.conversation import NOON
from tests.support.files import PNG, keys, put, s3

PLACE = Place("alice", "chat", NOON)
FILE = Attachment("id", "чай & tea.png", "image/png", len(PNG))


def uploaded(files, place=PLACE, attachment=FILE, content=PNG):
    put(files.upload(place, attachment, NOON).fields, content)
    return files.uploaded(place, attachment.attachment_id)


def test_a_form_takes_this_file_only(files):
    upload = files.upload(PLACE, FILE, NOON)
    policy = json.loads(base64.b64decode(upload.fields["policy"]))
    assert upload.expires_at == NOON + timedelta(minutes=10)
    assert ["content-length-range", len(PNG), len(PNG)] in policy["conditions"]
    for name in ("key", "Content-Type", "x-amz-meta-name"):
        assert {name: upload.fields[name]} in policy["conditions"]
    assert upload.fields["key"] == "uploads/YWxpY2U/chat/20261123T120000000000/id"


def test_what_is_uploaded_is_kept_and_a_later_upload_changes_nothing(files):
    found = uploaded(files)
    assert (found.attachment, found.head) == (FILE, PNG[:1024])
    assert files.kept(PLACE, "id") is None
    files.keep(PLACE, found)
    uploaded(files, content=PNG + b"more")
    assert (files.kept(PLACE, "id"), files.content(PLACE, "id")) == (FILE, PNG)


def test_only_the_first_bytes_are_read_to_look_at_a_file(files):
    found = uploaded(files, content=PNG + bytes(5000))
    assert (found.attachment.bytes, len(found.head)) == (len(PNG) + 5000, 1024)


def test_what_is_not_there_is_none(files):
    assert (files.kept(PLACE, "id"), files.uploaded(PLACE, "id"), files.content(PLACE, "id")) == (None, None, None)
    uploaded(files)
    others = (Place("bob", "chat", NOON), Place("alice", "other", NOON), Place("alice", "chat", NOON + timedelta(1)))
    assert [files.uploaded(place, "id") for place in others] == [None, None, None]


@pytest.mark.parametrize("type_", ["text/html", "text/plain", "application/json"])
def test_a_link_lets_no_browser_show_a_page(files, type_):
    attachment = Attachment("id", 'a"; x\r\n.html', type_, 4)
    link = files.link(PLACE, attachment, NOON)
    query = parse_qs(urlsplit(link.url).query)
    assert link.expires_at == NOON + timedelta(minutes=5)
    assert query["response-content-type"] == ["text/plain; charset=utf-8"]
    assert query["response-content-disposition"] == ["attachment; filename*=UTF-8''a%22%3B%20x%0D%0A.html"]
    assert query["X-Amz-Expires"] == ["300"]


def test_a_link_to_an_image_has_its_type(files):
    assert "response-content-type=image%2Fpng" in files.link(PLACE, FILE, NOON).url


def test_everything_of_a_chat_is_deleted_and_nothing_else(files):
    neighbours = (Place("alice", "chat2", NOON), Place("al", "chat", NOON), Place("alice", "chat", NOON + timedelta(1)))
    for place in (PLACE, *neighbours):
        files.keep(place, uploaded(files, place))
    uploaded(files, attachment=Attachment("never-used", "a", "image/png", len(PNG)))
    assert list(files.delete_all(PLACE)) == [1, 2]
    assert len(keys()) == 6
    assert not [key for key in keys() if PLACE.path in key]
    assert list(files.delete_all(PLACE)) == []


@given(st.text(min_size=1, max_size=MAX_USER_ID_CHARS), st.text(min_size=1, max_size=MAX_USER_ID_CHARS))
def test_every_user_has_a_place_of_their_own_that_fits_into_a_key(one, other):
    places = [Place(user.encode(errors="replace").decode(), "c" * 36, NOON).path for user in (one, other)]
    assert all(len(f"uploads/{path}/{'i' * 36}") <= 1024 for path in places)
    assert all(path.count("/") == 2 and path.isascii() for path in places)
    assert (places[0] == places[1]) == (one.encode(errors="replace") == other.encode(errors="replace"))


@pytest.mark.parametrize(
    "failure",
    [
        ClientError({"Error": {"Code": "SlowDown"}}, "GetObject"),
        ClientError({"Error": {"Code": "NoSuchBucket"}}, "GetObject"),
        EndpointConnectionError(endpoint_url="https://s3"),
    ],
    ids=["throttled", "no bucket", "unreachable"],
)
def test_a_failure_of_s3_is_a_failure_of_the_store(aws, monkeypatch, failure):
    files = Attachments("some-bucket")

    def fail(**more):
        raise failure

    monkeypatch.setattr(files._client, "get_object", fail)
    monkeypatch.setattr(files._client, "list_objects_v2", fail)
    for work in (lambda: files.uploaded(PLACE, "id"), lambda: list(files.delete_all(PLACE))):
        with pytest.raises(StoreError):
            work()


def test_a_caller_who_may_not_list_the_bucket_sees_403_for_what_is_not_there(aws, monkeypatch):
    files = Attachments("some-bucket")

    def refuse(**more):
        raise ClientError({"Error": {"Code": "403"}}, "HeadObject")

    monkeypatch.setattr(files._client, "head_object", refuse)
    assert files.kept(PLACE, "id") is None


def test_an_object_that_s3_does_not_delete_is_a_failure(files, monkeypatch):
    uploaded(files)
    answer = {"Errors": [{"Key": "k", "Code": "InternalError"}]}
    monkeypatch.setattr(files._client, "delete_objects", lambda **more: answer)
    with pytest.raises(StoreError, match="InternalError"):
        list(files.delete_all(PLACE))
    assert len(s3().list_objects_v2(Bucket="attachments-bucket")["Contents"]) == 1
