"""Bad input: each frame gets its error code, the connection stays open, and nothing is stored."""

import json
import time

import jwt
import pytest
from parley.dev_tokens import token
from websockets.exceptions import InvalidStatus

from tests.support.devices import SECRET


@pytest.fixture
def alice(device):
    alice = device()
    alice.join("alice")
    alice.chat_id = alice.create_chat()
    return alice


def is_alive_and_empty(alice):
    alice.send("join_chat", chatId=alice.chat_id)
    alice.receive("authenticated")
    return alice.receive("chat_joined")["data"]["messages"] == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "invalid_format"),
        ("привет", "invalid_format"),
        ("", "invalid_format"),
        ("[1, 2]", "invalid_format"),
        ("null", "invalid_format"),
        ("{}", "invalid_format"),
        ('{"type":"message","data":{}}', "invalid_format"),
        ('{"type":"message","data":{"message":["x"]}}', "invalid_format"),
        ('{"type":"message","data":"x"}', "invalid_format"),
        ('{"type":"message","data":{"message":"\\ud800"}}', "invalid_format"),
        ('{"type":"message","data":{"message":NaN}}', "invalid_format"),
        ('{"type":"message","data":{"message":"x","n":' + "7" * 5_000 + "}}", "invalid_format"),
        ("[" * 30_000, "invalid_format"),
        ('{"type":"dance","data":{}}', "unknown_type"),
        ('{"type":"$connect","data":{}}', "unknown_type"),
        ('{"type":"message","data":{"message":""}}', "message_empty"),
        ('{"type":"message","data":{"message":" \\n"}}', "message_empty"),
        ('{"type":"message","data":{"message":"' + "x" * 10_001 + '"}}', "message_too_large"),
        ('{"type":"join_chat","data":{}}', None),
        ('{"type":"join_chat","data":{"chatId":"made-up"}}', "chat_not_found"),
        ('{"type":"join_chat","data":{"chatId":""}}', "invalid_format"),
        ('{"type":"join_chat","data":{"chatId":"' + "x" * 1_025 + '"}}', "invalid_format"),
        ('{"type":"join_chat","data":{"token":"bad"}}', "invalid_token"),
        ('{"type":"join_chat","data":{"token":7}}', "invalid_format"),
    ],
)
def test_it_gets_its_code_and_changes_nothing(alice, text, code):
    alice.socket.send(text)
    if code:
        assert alice.refusal() == code
    else:
        alice.receive("authenticated")
    assert is_alive_and_empty(alice)


@pytest.mark.parametrize(
    "deep", ["[" * 100_000, '{"type":"message","data":{"message":' + "[" * 60_000 + "]" * 60_000 + "}}"]
)
def test_deep_nesting_in_several_frames(alice, deep):
    alice.socket.send(deep[start : start + 30_000] for start in range(0, len(deep), 30_000))
    assert alice.refusal() == "invalid_format"
    assert is_alive_and_empty(alice)


def test_forty_kilobytes_in_several_frames_are_too_large_a_message(alice):
    text = json.dumps({"type": "message", "data": {"message": "x" * 40_000}})
    alice.socket.send([text[:20_000], text[20_000:]])
    error = alice.receive("error")["data"]
    assert (error["code"], error["message"]) == ("message_too_large", "Message is longer than 10000 characters")
    assert is_alive_and_empty(alice)


@pytest.mark.parametrize("pieces", [["x" * 32_769], ["x" * 32_768] * 4 + ["x"]], ids=["frame", "message"])
def test_beyond_the_gateways_limits_the_connection_is_closed_with_1009(alice, pieces):
    assert alice.closing_code(pieces if len(pieces) > 1 else pieces[0]) == 1009


def test_the_largest_frame_and_the_largest_message_reach_the_handler(alice):
    alice.socket.send("x" * 32_768)
    assert alice.refusal() == "invalid_format"
    alice.socket.send(["x" * 32_768] * 4)
    assert alice.refusal() == "invalid_format"


def test_a_text_frame_that_is_no_utf8_closes_the_connection_with_1007(alice, emulator):
    with alice.socket.send_context():
        alice.socket.protocol.send_text(b"\xff\xfe")
    assert alice.closing_code() == 1007
    assert not any("Traceback" in line for line in emulator.output)


def test_a_binary_frame_closes_the_connection_with_1003(alice):
    assert alice.closing_code(b'{"type":"ping"}') == 1003


def signed(secret=SECRET, **claims):
    return jwt.encode({"userId": "alice", "exp": time.time() + 60, **claims}, secret, algorithm="HS256")


@pytest.mark.parametrize(
    "bad",
    [
        "nonsense",
        signed(secret="not the secret of this deployment, not at all"),
        signed(exp=time.time() - 3_600),
        signed(userId="mallory"),
        signed(userId=5),
    ],
)
class TestBadTokens:
    def test_in_a_frame(self, device, bad):
        alice = device()
        alice.send("join_chat", "r1", token=bad)
        error = alice.receive("error")
        assert error["data"] == {"message": "Invalid authentication token", "code": "invalid_token"}
        assert error["requestId"] == "r1"
        alice.send("create_chat")
        assert alice.refusal() == "not_authenticated"

    def test_at_the_handshake(self, device, emulator, bad):
        with pytest.raises(InvalidStatus) as refused:
            device(url=f"{emulator.websocket_url}?token={bad}")
        assert refused.value.response.status_code == 401
        with pytest.raises(InvalidStatus) as refused:
            device(additional_headers={"Authorization": f"Bearer {bad}"})
        assert refused.value.response.status_code == 401


def test_a_good_token_at_the_handshake_authenticates(device, emulator):
    alice = device(url=f"{emulator.websocket_url}?token={token('alice', SECRET)}")
    assert alice.create_chat()


@pytest.mark.parametrize("data", [{}, {"token": ""}, {"token": None}])
def test_a_missing_token_is_an_invalid_one(device, data):
    alice = device()
    alice.send("join_chat", **data)
    assert alice.refusal() == "invalid_token"


def test_a_message_before_joining_is_refused_and_can_be_sent_again(device):
    alice = device()
    alice.send("message", "r1", message="Hi", clientMessageId="mine")
    error = alice.receive("error")
    assert error["data"] == {
        "message": "Not authenticated or not in a chat",
        "code": "not_authenticated",
        "clientMessageId": "mine",
    }
    alice.join("alice")
    alice.create_chat()
    alice.send("message", "r2", message="Hi", clientMessageId="mine")
    assert alice.receive("user_message")["data"]["clientMessageId"] == "mine"
