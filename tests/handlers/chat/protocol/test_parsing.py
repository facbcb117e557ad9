"""Parsing of client frames: accepted and refused."""

import json

import pytest

from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.protocol.client_frames import (
    CLIENT_FRAMES,
    ClientFrame,
    CreateChat,
    JoinChat,
    LoadHistory,
    Ping,
    ResumePoint,
    SendMessage,
)
from handlers.chat.protocol.parsing import open_envelope


def refusal_of(body: str) -> ErrorCode:
    with pytest.raises(Refused) as refused:
        open_envelope(body).frame()
    return refused.value.code


class TestClientFrames:
    def test_each_type_becomes_its_class(self):
        cases = {
            '{"type":"join_chat","data":{"token":"t","chatId":"c"}}': JoinChat(token="t", chatId="c"),
            '{"type":"create_chat","data":{}}': CreateChat(),
            '{"type":"message","data":{"message":"Привет"}}': SendMessage(message="Привет"),
            '{"type":"load_history","data":{"before":"m"}}': LoadHistory(before="m"),
            '{"type":"ping"}': Ping(),
        }
        for body, frame in cases.items():
            assert open_envelope(body).frame() == frame

    def test_unknown_fields_are_ignored(self):
        body = '{"type":"ping","data":{"later":1},"version":2}'
        assert open_envelope(body).frame() == Ping()

    def test_null_stands_for_an_absent_field(self):
        body = '{"type":"join_chat","data":{"token":"t","chatId":null},"requestId":null}'
        assert open_envelope(body).frame() == JoinChat(token="t")

    @pytest.mark.parametrize("kind", CLIENT_FRAMES)
    def test_null_stands_for_each_absent_field_of_each_type(self, kind):
        def values(model):
            special = {"offset": 1, "limit": 1, "approved": True, "attachments": ["x"]}
            return {
                field.alias: values(ResumePoint) if name == "resume" else special.get(name, "x")
                for name, field in model.model_fields.items()
                if model is not ResumePoint or field.is_required()
            }

        def parsed(data):
            return open_envelope(json.dumps({"type": kind, "data": data})).frame()

        model = CLIENT_FRAMES[kind]
        given = values(model)
        for name in (field.alias for field in model.model_fields.values() if not field.is_required()):
            assert parsed({**given, name: None}) == parsed({key: given[key] for key in given if key != name})
        if "resume" in given:
            with_null = {**given, "resume": {**given["resume"], "attempt": None}}
            assert parsed(with_null) == parsed(given)
        assert parsed({**given, "later": None}) == parsed(given)

    def test_every_model_of_a_client_is_in_the_test_above(self):
        assert {*CLIENT_FRAMES.values(), ResumePoint} == {*ClientFrame.__subclasses__(), ResumePoint}

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
    def test_text_that_is_no_frame_is_refused(self, body):
        assert refusal_of(body) is ErrorCode.INVALID_FORMAT

    def test_a_frame_just_within_the_bounds_is_accepted(self):
        deep = '{"type":"ping","data":{"x":' + "[" * 30 + "]" * 30 + "}}"
        digits = '{"type":"ping","data":{"x":-12345678901234567890}}'
        tag = '{"type":"ping","requestId":"' + "r" * 64 + '"}'
        for body in (deep, digits, tag):
            assert open_envelope(body).frame() == Ping()

    def test_an_unknown_type_has_a_code_of_its_own(self):
        assert refusal_of('{"type":"dance","data":{}}') is ErrorCode.UNKNOWN_TYPE

    def test_a_client_cannot_invent_the_gateways_routes(self):
        assert refusal_of('{"type":"$connect","data":{}}') is ErrorCode.UNKNOWN_TYPE

    def test_the_request_id_survives_a_refused_frame(self):
        envelope = open_envelope('{"type":"message","data":{"message":5,"clientMessageId":"m1"},"requestId":"r1"}')
        assert (envelope.request_id, envelope.client_message_id) == ("r1", "m1")

    def test_text_keeps_everything_but_control_characters(self):
        body = json.dumps({"type": "message", "data": {"message": "a\x00b\x1b[31m\r\n\tc\x85 é 👩‍👧 \u202e"}})
        assert open_envelope(body).frame() == SendMessage(message="ab[31m\n\tc é 👩‍👧 \u202e")
