"""The wire protocol's shapes, and what the parser refuses."""

import json
from datetime import UTC, datetime

import pytest

from handlers.chat import frames
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.frames import (
    AssistantMessageComplete,
    AssistantMessageStart,
    AssistantMessageToken,
    ChatCreated,
    ChatJoined,
    Connected,
    CreateChat,
    FinishReason,
    JoinChat,
    Limits,
    LoadHistory,
    Ping,
    SendMessage,
    UserMessage,
)
from handlers.chat.texts import RUSSIAN


def refusal_of(body: str) -> ErrorCode:
    with pytest.raises(Refused) as refused:
        frames.open_envelope(body).frame()
    return refused.value.code


class TestClientFrames:
    def test_each_type_becomes_its_class(self):
        cases = {
            '{"type":"join_chat","data":{"token":"t","chatId":"c"}}': JoinChat(token="t", chatId="c"),
            '{"type":"create_chat","data":{}}': CreateChat(),
            '{"type":"message","data":{"message":"Привет"}}': SendMessage(message="Привет"),
            '{"type":"load_history","data":{"before":"m"}}': LoadHistory(before="m", limit=50),
            '{"type":"ping"}': Ping(),
        }
        for body, frame in cases.items():
            assert frames.open_envelope(body).frame() == frame

    def test_unknown_fields_are_ignored(self):
        body = '{"type":"ping","data":{"later":1},"version":2}'
        assert frames.open_envelope(body).frame() == Ping()

    def test_null_stands_for_an_absent_field(self):
        body = '{"type":"join_chat","data":{"token":"t","chatId":null},"requestId":null}'
        assert frames.open_envelope(body).frame() == JoinChat(token="t")

    @pytest.mark.parametrize(
        "body",
        [
            None,
            "",
            "   ",
            "{",
            "привет",
            "[]",
            "null",
            "5",
            '"text"',
            "{}",
            '{"type":5}',
            '{"type":"ping","data":[]}',
            '{"type":"ping","data":"x"}',
            '{"type":"ping","requestId":5}',
            '{"type":"ping","requestId":"' + "r" * 65 + '"}',
            '{"type":"message","data":{}}',
            '{"type":"message","data":{"message":5}}',
            '{"type":"message","data":{"message":null}}',
            '{"type":"join_chat","data":{"token":5}}',
            '{"type":"join_chat","data":{"token":"t","chatId":7}}',
            '{"type":"join_chat","data":{"token":"t","chatId":"' + "c" * 129 + '"}}',
            '{"type":"message","data":{"message":"x","clientMessageId":"' + "i" * 65 + '"}}',
            '{"type":"load_history","data":{"before":"m","limit":"9"}}',
            '{"type":"load_history","data":{"before":"m","limit":0}}',
            '{"type":"message","data":{"message":"\\ud800"}}',
            '{"type":"message","data":{"\\udc00":1,"message":"x"}}',
            '{"type":"message","data":{"message":NaN}}',
            '{"type":"ping","data":{"x":Infinity}}',
            '{"type":"ping","data":{"x":1e999}}',
            '{"type":"ping","data":{"x":123456789012345678901}}',
            '{"type":"ping","data":{"x":-123456789012345678901}}',
            '{"type":"ping","data":{"x":1.23456789012345678901}}',
            '{"type":"ping","data":{"x":' + "1" * 5_000 + "}}",
            "[" * 100_000,
            '{"type":"ping","data":{"x":' + "[" * 31 + "]" * 31 + "}}",
            '{"type":"ping","data":{"x":' + "[" * 2_000 + "]" * 2_000 + "}}",
        ],
    )
    def test_what_is_no_frame_is_refused(self, body):
        assert refusal_of(body) is ErrorCode.INVALID_FORMAT

    def test_what_is_just_within_the_bounds_is_taken(self):
        deep = '{"type":"ping","data":{"x":' + "[" * 30 + "]" * 30 + "}}"
        digits = '{"type":"ping","data":{"x":-12345678901234567890}}'
        tag = '{"type":"ping","requestId":"' + "r" * 64 + '"}'
        for body in (deep, digits, tag):
            assert frames.open_envelope(body).frame() == Ping()

    def test_an_unknown_type_has_a_code_of_its_own(self):
        assert refusal_of('{"type":"dance","data":{}}') is ErrorCode.UNKNOWN_TYPE

    def test_a_client_cannot_invent_the_gateways_routes(self):
        assert refusal_of('{"type":"$connect","data":{}}') is ErrorCode.UNKNOWN_TYPE

    def test_the_request_id_survives_a_refused_frame(self):
        envelope = frames.open_envelope(
            '{"type":"message","data":{"message":5,"clientMessageId":"m1"},"requestId":"r1"}'
        )
        assert (envelope.request_id, envelope.client_message_id) == ("r1", "m1")

    def test_text_keeps_everything_but_control_characters(self):
        body = json.dumps({"type": "message", "data": {"message": "a\x00b\x1b[31m\r\n\tc\x85 é 👩‍👧 \u202e"}})
        assert frames.open_envelope(body).frame() == SendMessage(message="ab[31m\n\tc é 👩‍👧 \u202e")


class TestServerFrames:
    """The six frames of the seed's conversation, letter for letter; what Parley adds comes after their fields."""

    def wire(self, frame, request_id=None):
        return json.loads(frames.encode(frames.as_json(frame, request_id)))

    def test_connected(self):
        frame = Connected(
            connection_id="c=",
            server_time="2026-11-23T10:00:00.000Z",
            reconnect_before="2026-11-23T11:55:00.000Z",
            limits=Limits(message_chars=10_000),
        )
        assert self.wire(frame) == {
            "type": "connected",
            "data": {
                "message": "WebSocket connection established",
                "connectionId": "c=",
                "serverTime": "2026-11-23T10:00:00.000Z",
                "reconnectBefore": "2026-11-23T11:55:00.000Z",
                "limits": {"messageChars": 10_000, "idleSeconds": 600},
            },
        }

    def test_chat_created(self):
        frame = ChatCreated(chat_id="chat", title=RUSSIAN.new_chat)
        assert self.wire(frame) == {"type": "chat_created", "data": {"chatId": "chat", "title": "Новый чат"}}

    def test_user_message(self):
        frame = UserMessage(message_id="m", content="Привет", timestamp="2026-11-23T10:00:00.000Z", chat_id="chat")
        assert self.wire(frame, "r1") == {
            "type": "user_message",
            "data": {
                "messageId": "m",
                "content": "Привет",
                "role": "user",
                "timestamp": "2026-11-23T10:00:00.000Z",
                "chatId": "chat",
            },
            "requestId": "r1",
        }

    def test_assistant_message_start(self):
        frame = AssistantMessageStart(message=RUSSIAN.typing, message_id="m", chat_id="chat")
        assert self.wire(frame) == {
            "type": "assistant_message_start",
            "data": {
                "message": "Ассистент печатает...",
                "messageId": "m",
                "chatId": "chat",
                "attempt": 1,
                "offset": 0,
                "content": "",
            },
        }

    def test_assistant_message_token(self):
        frame = AssistantMessageToken(token=" мир", message_id="m", offset=6)
        assert self.wire(frame) == {
            "type": "assistant_message_token",
            "data": {"token": " мир", "messageId": "m", "attempt": 1, "offset": 6},
        }

    def test_assistant_message_complete(self):
        frame = AssistantMessageComplete(
            message_id="m",
            content="Привет, мир",
            timestamp="2026-11-23T10:00:01.000Z",
            chat_id="chat",
            length=11,
            finish_reason=FinishReason.STOP,
        )
        assert self.wire(frame) == {
            "type": "assistant_message_complete",
            "data": {
                "messageId": "m",
                "content": "Привет, мир",
                "role": "assistant",
                "timestamp": "2026-11-23T10:00:01.000Z",
                "chatId": "chat",
                "attempt": 1,
                "length": 11,
                "finishReason": "stop",
            },
        }

    def test_a_reply_too_long_for_a_frame_shows_that_its_text_is_missing(self):
        frame = AssistantMessageComplete(
            message_id="m", content=None, timestamp="t", chat_id="c", length=9, finish_reason=FinishReason.STOP
        )
        assert self.wire(frame)["data"]["content"] is None

    def test_an_empty_chat_joined_has_all_its_fields(self):
        frame = ChatJoined(chat_id="c", title="t", messages=(), has_more=False)
        assert self.wire(frame)["data"] == {"chatId": "c", "title": "t", "messages": [], "hasMore": False}

    def test_the_longest_user_message_fits_into_one_frame(self):
        longest = "\u0800" * 10_000
        frame = UserMessage(
            message_id="m" * 36,
            content=longest,
            timestamp="2026-11-23T10:00:00.000Z",
            chat_id="c" * 36,
            client_message_id="𐍈" * 64,
        )
        assert len(frames.encode(frames.as_json(frame, "𐍈" * 64))) <= frames.LARGEST_FRAME

    def test_the_schema_names_every_frame(self):
        definitions = frames.json_schema()["$defs"]
        assert {frame.__name__ for frame in frames.SERVER_FRAMES} <= set(definitions)
        assert {"JoinChat", "CreateChat", "SendMessage", "LoadHistory", "LeaveChat", "Ping"} <= set(definitions)
        assert set(definitions["UserMessage"]["required"]) == {"messageId", "content", "timestamp", "chatId"}


def test_timestamps_have_milliseconds_and_z():
    assert frames.timestamp(datetime(2026, 11, 23, 10, 0, 0, 123_999, UTC)) == "2026-11-23T10:00:00.123Z"


def test_lengths_count_as_javascript_does():
    assert frames.utf16_length("a👩Ж") == 4
