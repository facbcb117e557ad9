"""The wire protocol's shapes."""

import json
from datetime import UTC, datetime
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from handlers.chat.protocol import frames
from handlers.chat.protocol.frames import (
    AssistantMessageComplete,
    AssistantMessageStart,
    AssistantMessageToken,
    AssistantView,
    ChatCreated,
    ChatJoined,
    ClientLimits,
    Connected,
    UserMessage,
)
from handlers.chat.records import FinishReason
from handlers.chat.settings import RUSSIAN


@cache
def schema_of(kind):
    """Pydantic's view of a frame, and the fields that it must have."""
    adapter = TypeAdapter(kind)
    return adapter, set(adapter.json_schema(mode="validation").get("required", ()))


class TestServerFrames:
    """The six frames of the seed's conversation, letter for letter; what Parley adds comes after their fields."""

    def wire(self, frame, request_id=None):
        return json.loads(frames.encode(frames.as_json(frame, request_id)))

    def test_connected(self):
        frame = Connected(
            connection_id="c=",
            server_time="2026-11-23T10:00:00.000Z",
            reconnect_before="2026-11-23T11:55:00.000Z",
            limits=ClientLimits(message_chars=10_000),
            assistants=(AssistantView(id="tea", title="Tea", starters=("Which?",)),),
        )
        assert self.wire(frame) == {
            "type": "connected",
            "data": {
                "message": "WebSocket connection established",
                "protocol": "1.2",
                "connectionId": "c=",
                "serverTime": "2026-11-23T10:00:00.000Z",
                "reconnectBefore": "2026-11-23T11:55:00.000Z",
                "limits": {"messageChars": 10_000, "idleSeconds": 600},
                "assistants": [{"id": "tea", "title": "Tea", "starters": ["Which?"]}],
            },
        }

    def test_chat_created(self):
        frame = ChatCreated(chat_id="chat", title=RUSSIAN.new_chat, assistant="default")
        assert self.wire(frame) == {
            "type": "chat_created",
            "data": {"chatId": "chat", "title": "Новый чат", "assistant": "default"},
        }

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
        frame = ChatJoined(chat_id="c", title="t", assistant="tea", messages=(), has_more=False)
        assert self.wire(frame)["data"] == {
            "chatId": "c",
            "title": "t",
            "assistant": "tea",
            "messages": [],
            "hasMore": False,
        }

    def test_the_longest_user_message_fits_into_one_frame(self):
        longest = "\u0800" * 10_000
        frame = UserMessage(
            message_id="m" * 36,
            content=longest,
            timestamp="2026-11-23T10:00:00.000Z",
            chat_id="c" * 36,
            client_message_id="𐍈" * 64,
        )
        assert len(frames.encode(frames.as_json(frame, "𐍈" * 64))) <= frames.MAX_FRAME_BYTES

    @pytest.mark.parametrize("kind", [*frames.SERVER_FRAMES, frames.MessageView, frames.Cost])
    @given(st.data())
    def test_every_frame_is_written_as_pydantic_would_write_it(self, kind, data):
        """Pydantic knows the types of the fields; what is left out is what it writes as None, where that is allowed."""
        frame = data.draw(st.from_type(kind))
        adapter, required = schema_of(kind)
        written = adapter.dump_python(frame, mode="json", by_alias=True)
        ours = frame.as_data()
        assert self.without_none(ours) == self.without_none(written)
        assert required <= set(ours) <= set(written)

    def without_none(self, value):
        if isinstance(value, dict):
            return {name: self.without_none(each) for name, each in value.items() if each is not None}
        return [self.without_none(each) for each in value] if isinstance(value, list) else value


def test_timestamps_have_milliseconds_and_z():
    assert frames.timestamp(datetime(2026, 11, 23, 10, 0, 0, 123_999, UTC)) == "2026-11-23T10:00:00.123Z"


def test_lengths_count_as_javascript_does():
    assert frames.utf16_length("a👩Ж") == 4
