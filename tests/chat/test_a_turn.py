"""Turns through the emulator: cancel, regenerate, repeat, resume, and cost."""

import pytest


def said(device, text, **data):
    device.send("message", message=text, **data)
    return device.receive("user_message")["data"]


@pytest.fixture
def alice(device):
    alice = device()
    alice.join("alice")
    alice.chat_id = alice.create_chat()
    return alice


def test_a_reply_is_cancelled_from_another_device_and_keeps_what_was_said(device, alice):
    phone = device()
    phone.join("alice", alice.chat_id)
    said(alice, "/long 100000")
    phone.receive("user_message")
    message_id = phone.receive("assistant_message_start")["data"]["messageId"]
    # The reply comes in pieces while the model still speaks: this one speaks until it is cancelled.
    first, second = (phone.receive("assistant_message_token")["data"] for _ in range(2))
    assert second["offset"] == first["offset"] + len(first["token"]) > 0
    phone.send("cancel", messageId=message_id)
    complete = alice.reply()[-1]["data"]
    assert (complete["messageId"], complete["finishReason"]) == (message_id, "cancelled")
    assert 0 < complete["length"] < 500_000
    joined = device().join("alice", alice.chat_id)
    assert joined["messages"][1]["finishReason"] == "cancelled"
    assert "reply" not in joined


def test_the_last_reply_is_made_anew_on_every_device(device, alice):
    *_, first = alice.ask("/long 5")
    alice.new_title(alice.chat_id)
    phone = device()
    phone.join("alice", alice.chat_id)
    alice.send("regenerate")
    for each in (alice, phone):
        start, *_, complete = each.reply()
        assert start["data"]["replaces"] == first["data"]["messageId"]
        assert complete["data"]["messageId"] == start["data"]["messageId"] != first["data"]["messageId"]
    messages = device().join("alice", alice.chat_id)["messages"]
    assert [message["messageId"] for message in messages][1:] == [complete["data"]["messageId"]]


def test_the_same_message_sent_again_is_acknowledged_and_not_answered_again(alice):
    first = said(alice, "/long 5", clientMessageId="mine")
    alice.reply()
    again = said(alice, "/long 5", clientMessageId="mine")
    assert again == first | {"duplicate": True}
    alice.send("ping")
    alice.receive("pong")


def test_a_second_message_has_to_wait_for_the_reply_to_the_first(alice):
    said(alice, "/long 100000")
    alice.receive("assistant_message_start")
    alice.send("message", "r2", message="And?", clientMessageId="second")
    while (frame := alice.receive_any())["type"] in ("assistant_message_token", "connected"):
        pass  # the greeting may come at any moment
    assert frame == {
        "type": "error",
        "data": {
            "message": "A reply is already being generated in this chat",
            "code": "busy",
            "clientMessageId": "second",
        },
        "requestId": "r2",
    }
    alice.send("cancel")


@pytest.mark.parametrize(("kind", "code"), [("cancel", "nothing_to_cancel"), ("regenerate", "nothing_to_regenerate")])
def test_without_a_reply_there_is_nothing_to_cancel_or_regenerate(alice, kind, code):
    alice.send(kind)
    assert alice.refusal() == code


def test_a_second_device_that_joins_in_the_middle_reads_what_was_said_and_the_rest(device, alice):
    said(alice, "/long 20000")
    alice.receive("assistant_message_start")
    phone = device()
    joined = phone.join("alice", alice.chat_id)
    start, *tokens, complete = phone.reply()
    assert joined["reply"] == {"messageId": start["data"]["messageId"], "attempt": 1}
    text = start["data"]["content"] + "".join(token["data"]["token"] for token in tokens)
    assert len(text) == complete["data"]["length"]


@pytest.mark.parametrize(
    "resume", [{"messageId": "x", "offset": -1}, {"offset": 1}, {"messageId": "x" * 129, "offset": 0}]
)
def test_a_resume_that_is_none_is_refused_and_the_connection_stays_where_it_was(alice, resume):
    alice.send("join_chat", chatId=alice.chat_id, resume=resume)
    assert alice.refusal() == "invalid_format"
    assert alice.ask("/long 3")[-1]["data"]["finishReason"] == "stop"


def test_the_end_of_a_reply_says_what_its_turn_has_cost(alice):
    *_, complete = alice.ask("/long 5")
    cost = complete["data"]["cost"]
    assert cost.keys() == {"frames", "readUnits", "writeUnits", "invocations", "gbSeconds", "usd", "covers"}
    assert cost["frames"] >= 2 + 3
    assert cost["readUnits"] > 0
    assert cost["invocations"] == 2
    assert cost["gbSeconds"] > 0
    assert cost["covers"] == ["frames", "units", "functions", "tokens"]
    assert 0 < cost["usd"] < 0.01
