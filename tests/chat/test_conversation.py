"""The seed's whole conversation, with a plain WebSocket client, through the emulator."""

import json
import re

from parley.dev_tokens import token
from parley.terminal import smoke

from tests.support.devices import SECRET

APOLOGY = "Извините, произошла ошибка при обработке вашего сообщения."
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def text_of(frames):
    return "".join(frame["data"]["token"] for frame in frames if frame["type"] == "assistant_message_token")


def test_the_whole_conversation(emulator):
    """`smoke.converse` checks what holds for every deployment; here is what this one's settings and model add."""
    question = "Расскажи, пожалуйста, что нужно для борща на восемь человек?"
    conversation = smoke.converse(emulator.websocket_url, token("alice", SECRET), question)
    greeting = conversation.greeting
    assert greeting["message"] == "WebSocket connection established"
    assert RFC3339.fullmatch(greeting["serverTime"])
    assert greeting["reconnectBefore"] > greeting["serverTime"]
    assert greeting["limits"] == {"messageChars": 10_000, "messagesPerMinute": 1_000, "idleSeconds": 600}

    assert conversation.created["title"] == "Новый чат"
    chat_id = conversation.chat_id
    acknowledged = dict(conversation.acknowledged)
    assert RFC3339.fullmatch(acknowledged.pop("timestamp"))
    assert acknowledged.pop("messageId")
    assert acknowledged.pop("clientMessageId")
    assert acknowledged == {"content": question, "role": "user", "chatId": chat_id}

    start, *tokens, complete = (frame.data for frame in conversation.reply)
    reply_id = start["messageId"]
    assert start == {
        "message": "Ассистент печатает...",
        "messageId": reply_id,
        "chatId": chat_id,
        "attempt": 1,
        "offset": 0,
        "content": "",
    }
    # How many pieces there are depends on how fast the machine posts them: test_a_turn.py sees them come one by one.
    assert [each["messageId"] for each in tokens] == [reply_id] * len(tokens)
    assert complete["messageId"] == reply_id
    assert question in complete["content"]
    assert complete["role"] == "assistant"
    assert complete["finishReason"] == "stop"
    assert complete["usage"]["completionTokens"] > 20

    assert conversation.title == question[:50] + "..."
    assert conversation.joined["title"] == conversation.title


def test_history_is_there_after_reconnecting(device):
    first = device()
    first.join("alice")
    chat_id = first.create_chat()
    first.ask("Раз")
    first.ask("Два")
    first.socket.close()

    joined = device().join("alice", chat_id)
    assert (joined["title"], joined["hasMore"]) == ("Раз", False)
    assert [message["role"] for message in joined["messages"]] == ["user", "assistant", "user", "assistant"]
    assert [joined["messages"][index]["content"] for index in (0, 2)] == ["Раз", "Два"]
    assert joined["messages"][3]["finishReason"] == "stop"


def test_older_messages_can_be_loaded(device):
    alice = device()
    alice.join("alice")
    alice.create_chat()
    alice.ask("Раз")
    *_, complete = alice.ask("Два")
    alice.send("load_history", before=complete["data"]["messageId"], limit=2)
    page = alice.receive("history")["data"]
    assert page["hasMore"] is True
    assert [message["role"] for message in page["messages"]] == ["assistant", "user"]


def test_two_devices_in_one_chat_both_see_the_reply(emulator, device):
    laptop, phone = device(), device()
    laptop.join("alice")
    chat_id, connection_id = laptop.create_chat(), phone.connection_id()
    phone.join("alice", chat_id)
    emulator.until_in_chat("alice", chat_id, connection_id)
    laptop.send("message", "r1", message="Привет")
    to_laptop, on_laptop = laptop.receive("user_message"), laptop.reply()
    # The reply does not wait for a device that is slow to take another's question, so that may come later there.
    while not {"user_message", "assistant_message_complete"} <= {frame["type"] for frame in phone.frames}:
        phone.receive_any()
    [to_phone] = [frame for frame in phone.frames if frame["type"] == "user_message"]
    on_phone = [frame for frame in phone.frames if frame["type"].startswith("assistant_message")]
    assert to_laptop["data"] == to_phone["data"]
    assert ("requestId" in to_laptop, "requestId" in to_phone) == (True, False)
    assert (on_laptop[0], on_laptop[-1]) == (on_phone[0], on_phone[-1])
    assert text_of(on_laptop) == text_of(on_phone) == on_phone[-1]["data"]["content"]


def test_the_new_title_reaches_a_users_device_outside_the_chat(device):
    laptop, phone = device(), device()
    laptop.join("alice")
    phone.join("alice")
    chat_id = laptop.create_chat()
    laptop.ask("Привет")
    assert phone.new_title(chat_id) == "Привет"


def test_users_do_not_see_each_other(device):
    alice, bob = device(), device()
    alice.join("alice")
    bob.join("bob")
    foreign, own = alice.create_chat(), bob.create_chat()
    for chat_id in (foreign, "made-up"):
        bob.send("join_chat", chatId=chat_id)
        error = bob.receive("error")["data"]
        assert error == {"message": "Chat not found or access denied", "code": "chat_not_found"}
    alice.ask("Секрет")
    bob.ask("Привет")
    assert own != foreign
    assert "Секрет" not in json.dumps(bob.frames, ensure_ascii=False)


def test_a_device_that_leaves_in_the_middle_harms_nobody(emulator, device):
    laptop, phone = device(), device()
    laptop.join("alice")
    chat_id, connection_id = laptop.create_chat(), phone.connection_id()
    phone.join("alice", chat_id)
    emulator.until_in_chat("alice", chat_id, connection_id)
    laptop.send("message", message="Привет")
    laptop.receive("user_message")
    laptop.socket.close()
    phone.receive("user_message")
    frames = phone.reply()
    assert text_of(frames) == frames[-1]["data"]["content"]


def test_leaving_a_chat_and_coming_back(device):
    alice = device()
    alice.join("alice")
    chat_id = alice.create_chat()
    alice.send("leave_chat", "r1")
    assert alice.receive("chat_left") == {"type": "chat_left", "data": {"chatId": chat_id}, "requestId": "r1"}
    alice.send("message", message="Привет")
    assert alice.refusal() == "not_authenticated"
    alice.send("join_chat", chatId=chat_id)
    alice.receive("authenticated")
    assert alice.receive("chat_joined")["data"]["messages"] == []


def test_a_ping_is_answered(device):
    alice = device()
    alice.send("ping", "r1")
    pong = alice.receive("pong")
    assert RFC3339.fullmatch(pong["data"]["serverTime"])
    assert pong["requestId"] == "r1"


class TestFailingModel:
    def test_before_the_first_token(self, device):
        alice = device()
        alice.join("alice")
        chat_id = alice.create_chat()
        *tokens, complete = alice.ask("/fail")
        assert text_of(tokens) == APOLOGY
        assert (complete["data"]["content"], complete["data"]["finishReason"]) == (APOLOGY, "error")
        joined = device().join("alice", chat_id)
        assert joined["messages"][1]["content"] == APOLOGY
        assert joined["messages"][1]["finishReason"] == "error"

    def test_in_the_middle(self, device):
        alice = device()
        alice.join("alice")
        alice.create_chat()
        *tokens, complete = alice.ask("/fail mid")
        said, apology = complete["data"]["content"].rsplit("\n\n", 1)
        assert said
        assert apology == APOLOGY
        assert text_of(tokens) == complete["data"]["content"]
