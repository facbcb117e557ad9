"""Attachments of messages: kept before the message is stored, and every wrong one is refused with nothing stored."""

import itertools

import pytest

from handlers.chat.errors import ErrorCode
from handlers.chat.protocol.attachments import MAX_ATTACHMENTS
from handlers.chat.protocol.frames import AttachmentView, ChatJoined
from handlers.chat.records import Chat
from handlers.chat.store import StoreError
from handlers.chat.turns.actions import Begin
from tests.support.command_client import NOON, CommandClient
from tests.support.conversation import answer, ask
from tests.support.files import PNG, TEXT, keys, upload

VIEW = AttachmentView(id="one", name="tea.png", type="image/png", bytes=len(PNG))


@pytest.fixture
def alice(client, store, chat, files):
    client.joins("alice", "chat")
    return client


def kept():
    return [key.rpartition("/")[2] for key in keys() if key.startswith("files/")]


def stored(store):
    return [message.attachments for message in store.messages.newest_first("chat")]


class TestMessage:
    def test_its_files_are_kept_stored_and_shown(self, alice, store):
        one, two = upload(store, "one"), upload(store, "two", TEXT, "text/plain", "чай.txt")
        [begin] = alice.sends("message", message="What is this?", attachments=["two", "one"])
        assert begin.acknowledgement.frame.attachments[1] == VIEW
        assert stored(store) == [(two, one)]
        assert sorted(kept()) == ["one", "two"]

    def test_a_plain_one_does_not_touch_s3(self, alice, store, files, monkeypatch):
        monkeypatch.setattr(files, "_bucket", "not-there")
        for attachments in (None, []):
            [begin] = alice.sends("message", message="Hi", attachments=attachments)
            assert isinstance(begin, Begin)
            assert begin.acknowledgement.frame.attachments is None
            answer(store, begin.handover)
        assert stored(store) == [(), (), (), ()]

    def test_sent_again_it_is_the_same_message(self, alice, store):
        upload(store, "one")
        again = {"message": "Hi", "attachments": ["one"], "clientMessageId": "mine"}
        [begin] = alice.sends("message", **again)
        for _ in ("while the reply runs", "after it"):
            [repeated] = alice.is_answered("message", **again)
            assert (repeated.duplicate, repeated.attachments) == (True, (VIEW,))
            if not stored(store)[1:]:
                answer(store, begin.handover)
        assert stored(store)[-1][0].attachment_id == "one"

    def test_a_file_may_be_in_a_later_message_too(self, alice, store):
        one = upload(store, "one")
        [begin] = alice.sends("message", message="Hi", attachments=["one"])
        answer(store, begin.handover)
        alice.sends("message", message="Again", attachments=["one"])
        assert stored(store)[0] == (one,)

    def test_an_edited_one_has_the_files_that_it_names_and_the_old_one_keeps_its_own(self, alice, store):
        one, two = upload(store, "one"), upload(store, "two")
        [begin] = alice.sends("message", message="Hi", attachments=["one"])
        answer(store, begin.handover)
        edited = begin.acknowledgement.frame.message_id
        [begin] = alice.sends("edit", messageId=edited, message="Hello", attachments=["two", "one"])
        assert begin.acknowledgement.frame.attachments[1] == VIEW
        assert store.messages.get("chat", edited).attachments == (one,)
        assert store.messages.get("chat", begin.acknowledgement.frame.message_id).attachments == (two, one)
        assert sorted(kept()) == ["one", "two"]

    def test_history_shows_them(self, alice, store):
        upload(store, "one")
        alice.sends("message", message="Hi", attachments=["one"])
        joined = CommandClient(store, "c2=").joins("alice", "chat")
        [shown] = [frame for frame in joined if isinstance(frame, ChatJoined)]
        assert [message.attachments for message in shown.messages] == [(VIEW,)]


class TestBadInput:
    @pytest.mark.parametrize(
        ("ids", "code"),
        [
            (["never-uploaded"], ErrorCode.ATTACHMENT_NOT_FOUND),
            (["of-bob"], ErrorCode.ATTACHMENT_NOT_FOUND),
            (["of-another-chat"], ErrorCode.ATTACHMENT_NOT_FOUND),
            (["good", "never-uploaded"], ErrorCode.ATTACHMENT_NOT_FOUND),
            (["../other/of-another-chat"], ErrorCode.ATTACHMENT_NOT_FOUND),
            (["no-image"], ErrorCode.ATTACHMENT_TYPE),
            (["no-text"], ErrorCode.ATTACHMENT_TYPE),
            (["good", "good"], ErrorCode.INVALID_FORMAT),
            ([f"id-{number}" for number in range(MAX_ATTACHMENTS + 1)], ErrorCode.INVALID_FORMAT),
            ("good", ErrorCode.INVALID_FORMAT),
            ([None], ErrorCode.INVALID_FORMAT),
            ([["good"]], ErrorCode.INVALID_FORMAT),
            ([""], ErrorCode.INVALID_FORMAT),
            ({"id": "good"}, ErrorCode.INVALID_FORMAT),
        ],
    )
    def test_it_is_refused_and_nothing_is_stored(self, alice, store, ids, code):
        store.chats.add(Chat("bob", "bobs"), NOON)
        store.chats.add(Chat("alice", "other"), NOON)
        upload(store, "good")
        upload(store, "of-bob", user="bob", chat_id="bobs")
        upload(store, "of-another-chat", chat_id="other")
        upload(store, "no-image", b"<html>")
        upload(store, "no-text", PNG, "text/plain")
        assert alice.is_refused("message", message="Hi", attachments=ids) is code
        assert stored(store) == []
        assert store.chats.get("alice", "chat").turn is None

    def test_a_deployment_without_a_bucket_has_none(self, alice, store, files, monkeypatch):
        monkeypatch.setattr(files, "_bucket", "")
        assert alice.is_refused("message", message="Hi", attachments=["one"]) is ErrorCode.ATTACHMENT_NOT_FOUND

    def test_a_busy_chat_keeps_no_file(self, alice, store):
        upload(store, "one")
        ask(store, "m1", "m2")
        assert alice.is_refused("message", message="Hi", attachments=["one"]) is ErrorCode.BUSY
        assert kept() == []

    def test_a_text_and_names_that_no_frame_holds_are_refused(self, alice, store, monkeypatch):
        monkeypatch.setattr("handlers.chat.protocol.frames.MAX_FRAME_BYTES", 500)
        upload(store, "one", name="ч" * 100)
        code = alice.is_refused("message", message="Hi", attachments=["one"])
        assert code is ErrorCode.MESSAGE_TOO_LARGE
        assert stored(store) == []


class TestFailures:
    def test_a_message_is_not_stored_without_its_files(self, alice, store, files, monkeypatch):
        upload(store, "one")

        def fail(*arguments):
            raise StoreError("S3")

        monkeypatch.setattr(files, "keep", fail)
        [error] = alice.is_answered("message", message="Hi", attachments=["one"])
        assert (error.code, error.retry_after) == (ErrorCode.INTERNAL, 2)
        assert stored(store) == []

    def test_a_chat_that_is_deleted_meanwhile_leaves_no_file(self, alice, store, files, monkeypatch):
        upload(store, "one")
        keep = files.keep

        def keep_then_delete(place, uploaded):
            keep(place, uploaded)
            store.chats.delete("alice", "chat", store.chats.get("alice", "chat").created_at)

        monkeypatch.setattr(files, "keep", keep_then_delete)
        assert alice.is_refused("message", message="Hi", attachments=["one"]) is ErrorCode.CHAT_NOT_FOUND
        assert kept() == []

    def test_two_messages_at_once_keep_the_file_for_the_one_that_is_stored(self, alice, store, files, monkeypatch):
        upload(store, "one")
        keep, times, running = files.keep, itertools.count(), []

        def keep_after_another(place, uploaded):
            if next(times) == 0:
                running.append(ask(store, "a1", "a2"))
            keep(place, uploaded)

        monkeypatch.setattr(files, "keep", keep_after_another)
        assert alice.is_refused("message", message="Hi", attachments=["one"]) is ErrorCode.BUSY
        answer(store, running[0])
        alice.sends("message", message="Hi", attachments=["one"])
        assert kept() == ["one"]
        assert len(stored(store)) == 3
