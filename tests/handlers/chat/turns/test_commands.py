"""The other client frames, and what every frame has in common."""

from handlers.chat.errors import ErrorCode
from handlers.chat.protocol.frames import (
    ChatLeft,
    History,
    Pong,
)
from tests.support.conversation import answer, ask


class TestTheRest:
    def test_older_messages_come_in_pages(self, client, store, chat):
        client.joins("alice", "chat")
        for number in (0, 2, 4):
            answer(store, ask(store, f"m{number}", f"m{number + 1}"))
        [page] = client.is_answered("load_history", before="m3", limit=2)
        assert isinstance(page, History)
        assert ([view.message_id for view in page.messages], page.has_more) == (["m1", "m2"], True)

    def test_history_needs_a_chat(self, client):
        assert client.is_refused("load_history", before="m3") is ErrorCode.NOT_AUTHENTICATED

    def test_leaving_a_chat_ends_its_frames(self, client, store, chat):
        client.joins("alice", "chat")
        assert client.is_answered("leave_chat") == [ChatLeft(chat_id="chat")]
        assert store.chats.get("alice", "chat").subscribers == {}
        assert client.is_refused("leave_chat") is ErrorCode.NOT_AUTHENTICATED

    def test_a_ping_is_answered_to_anybody(self, client):
        assert client.is_answered("ping") == [Pong(server_time="2026-11-23T12:00:00.000Z")]

    def test_the_request_id_is_repeated_in_answers_and_refusals(self, client):
        for kind in ("ping", "leave_chat", "dance"):
            [action] = client.sends(kind, "r7")
            assert action.request_id == "r7"

    def test_text_that_is_no_json_is_refused(self, client):
        [action] = client.sends_text("{")
        assert (action.frame.code, action.frame.message) == (ErrorCode.INVALID_FORMAT, "Invalid message format")

    def test_an_unexpected_failure_is_one_sentence_with_a_reference(self, client, monkeypatch):
        monkeypatch.setattr(type(client.store.connections), "get", lambda *_: 1 / 0)
        [action] = client.sends("ping", "r1")
        assert (action.frame.code, action.request_id) == (ErrorCode.INTERNAL, "r1")
        assert action.frame.message == "Something went wrong on our side. Reference: ref"
