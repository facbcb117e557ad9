"""Attachments: which files may be uploaded, what their first bytes must be, and how they are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.protocol.attachments import (
    HEAD_BYTES,
    MAX_ATTACHMENTS,
    attachments_in,
    check_content,
    check_ids,
    check_new,
    is_id,
    kept_attachments,
)
from handlers.chat.records import Attachment

HEADS = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\x10\x00\x00\x00WEBPVP8 ",
}


def refusal_of(check, *arguments):
    with pytest.raises(Refused) as refused:
        check(*arguments)
    return refused.value.code


def a_file(type_, size=10):
    return Attachment("id", "a", type_, size)


class TestUploads:
    @pytest.mark.parametrize(
        "type_", [*HEADS, "text/plain", "text/markdown", "text/x-c++src", "text/html", "application/json"]
    )
    def test_images_and_texts_are_taken(self, type_):
        check_new(a_file(type_), 5, takes_images=True)

    @pytest.mark.parametrize(
        "type_",
        [
            *("application/pdf", "application/octet-stream", "image/svg+xml", "image/bmp", "video/mp4", "text/"),
            *("image/png; charset=utf-8", "text", "text/plain\r\nx: y", "application/json ", "TEXT/plain", "", "*/*"),
        ],
    )
    def test_others_are_refused(self, type_):
        assert refusal_of(check_new, a_file(type_), 5, True) is ErrorCode.ATTACHMENT_TYPE

    @pytest.mark.parametrize("megabytes", [1, 5, 10])
    def test_the_largest_is_exact(self, megabytes):
        check_new(a_file("text/plain", megabytes * 2**20), megabytes, takes_images=True)
        too_large = a_file("text/plain", megabytes * 2**20 + 1)
        assert refusal_of(check_new, too_large, megabytes, True) is ErrorCode.ATTACHMENT_TOO_LARGE

    def test_a_deployment_may_take_none_or_no_images(self):
        assert refusal_of(check_new, a_file("text/plain"), 0, True) is ErrorCode.ATTACHMENT_TYPE
        assert refusal_of(check_new, a_file("image/png"), 5, False) is ErrorCode.ATTACHMENT_TYPE
        check_new(a_file("text/plain"), 5, takes_images=False)


class TestIds:
    def test_some_different_ones_are_taken(self):
        check_ids([])
        check_ids([f"id-{number}" for number in range(MAX_ATTACHMENTS)])

    @pytest.mark.parametrize(
        ("ids", "code"),
        [
            (["a", "a"], ErrorCode.INVALID_FORMAT),
            ([f"id-{number}" for number in range(MAX_ATTACHMENTS + 1)], ErrorCode.INVALID_FORMAT),
            *(([each], ErrorCode.ATTACHMENT_NOT_FOUND) for each in ("..", "../other/id", "a/b", "", "é", "a" * 65)),
        ],
    )
    def test_others_are_refused(self, ids, code):
        assert refusal_of(check_ids, ids) is code

    @given(st.text())
    def test_no_id_leaves_its_place(self, text):
        assert not (is_id(text) and set("/.%\\ ") & set(text))


class TestContent:
    @pytest.mark.parametrize("type_", HEADS)
    @pytest.mark.parametrize("content", HEADS)
    def test_an_image_begins_as_its_type_does(self, type_, content):
        if type_ == content:
            check_content(a_file(type_), HEADS[content] + bytes(50))
        else:
            assert refusal_of(check_content, a_file(type_), HEADS[content]) is ErrorCode.ATTACHMENT_TYPE

    @pytest.mark.parametrize("content", [b"<svg onload=alert(1)>", b"<!DOCTYPE html>", b"\x89PN", b"%PDF-1.7", b""])
    def test_what_is_no_image_is_none(self, content):
        assert refusal_of(check_content, a_file("image/png"), content) is ErrorCode.ATTACHMENT_TYPE

    @pytest.mark.parametrize("content", [b"a", b"\xef\xbb\xbfa\r\n\tb\x1b[0m", "чай 🫖".encode()])
    def test_a_text_is_utf_8(self, content):
        check_content(a_file("text/plain"), content)

    @pytest.mark.parametrize(
        "content",
        [
            HEADS["image/png"],
            HEADS["image/jpeg"],
            HEADS["image/webp"],
            b"a\x00b",
            b"\xff\xfea\x00",
            b"\xd2\xe5",
            "чай".encode("utf-16"),
            b"\xc3",
        ],
    )
    def test_what_is_binary_is_no_text(self, content):
        assert refusal_of(check_content, a_file("text/plain"), content) is ErrorCode.ATTACHMENT_TYPE

    @given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=HEAD_BYTES))
    def test_a_text_may_be_cut_in_a_character(self, text):
        check_content(a_file("text/plain"), text.encode()[:HEAD_BYTES])

    def test_a_broken_end_is_seen_though_the_text_is_cut(self):
        head = b"a" * (HEAD_BYTES - 1) + b"\xff"
        assert refusal_of(check_content, a_file("text/plain"), head) is ErrorCode.ATTACHMENT_TYPE


@given(st.lists(st.builds(Attachment, st.text(), st.text(), st.text(), st.integers(1)), max_size=8))
def test_what_is_kept_comes_back(attachments):
    assert attachments_in(kept_attachments(attachments)) == tuple(attachments)
    assert (kept_attachments(attachments) is None) == (not attachments)
