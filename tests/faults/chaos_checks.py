"""Checks of the promises, when chaos around real processes is over."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from parley.llm.answers import PromptMessage, answer

from tests.faults.chaos import ChaosOutcome, Conversation
from tests.support.devices import Emulator


def check_chaos(emulator: Emulator, outcome: ChaosOutcome) -> set[tuple[str, str, int]]:
    """Check the promises of the protocol, and return the connections that stayed open through a whole reply."""
    again, doubtful = announcements(emulator), failed_posts(emulator)
    survivors: set[tuple[str, str, int]] = set()
    for conversation in outcome.conversations:
        if conversation.deleted:
            continue
        assert conversation.ended, f"a turn never came to its end: {conversation.chat_id}"
        stored = messages_of(emulator, conversation.chat_id)
        check_what_is_stored(conversation, stored)
        contents = {message["messageId"]: message["content"] for message in stored}
        for device in conversation.devices:
            for message_id, reading in device.readings.items():
                assert message_id in contents, "a reply is not stored"
                assert reading.text == contents[message_id], f"a device has another text than is stored: {message_id}"
                assert reading.completes or message_id in device.shown, "an end is missing"
            for (connection, message_id), ends in device.ends.items():
                allowed = device.subscriptions[connection, message_id] + again[message_id]
                allowed += doubtful[device.gateway_ids.get(connection, "")]
                assert ends <= allowed, (
                    f"an end too many: {ends} of {message_id} on {device.gateway_ids.get(connection)}"
                )
                if device.present[message_id] == connection:
                    survivors.add((conversation.chat_id, device.name, connection))
    return survivors


def check_what_is_stored(conversation: Conversation, stored: list[dict[str, Any]]) -> None:
    """Check that each message is stored once, with one reply, which says what the model has said."""
    roles = [message["role"] for message in stored]
    assert roles == ["user", "assistant"] * (len(roles) // 2), "not one reply to one message"
    tags = [message["clientMessageId"] for message in stored if message["role"] == "user"]
    assert len(tags) == len(set(tags)), "a message is stored twice"
    ids = {message["messageId"] for message in stored}
    for device in conversation.devices:
        for data in device.acknowledged.values():
            assert data["messageId"] in ids, "an acknowledged message is lost"
    before = "stop"
    for question, reply in zip(stored[::2], stored[1::2], strict=True):
        said = answer([PromptMessage("user", question["content"])])
        # After a reply that failed the model gets both questions as one, and says something else.
        if before == reply["finishReason"] == "stop":
            assert reply["content"] == said, "a reply is not what the model has said"
        before = reply["finishReason"]


def check_deleted(emulator: Emulator, outcome: ChaosOutcome) -> int:
    """Check that nothing is left of the deleted chats, and return how many there were."""
    deleted = [each for each in outcome.conversations if each.deleted]
    for conversation in deleted:
        key = {"userId": {"S": conversation.user_id}, "chatId": {"S": conversation.chat_id}}
        answer = emulator.client("dynamodb").get_item(TableName="ChatsTable", Key=key, ConsistentRead=True)
        assert "Item" not in answer, "a deleted chat came back"
        left = messages_of(emulator, conversation.chat_id), messages_of(emulator, f"{conversation.chat_id}#sent")
        assert left == ([], []), f"a deleted chat has messages: {conversation.chat_id}"
    return len(deleted)


def messages_of(emulator: Emulator, chat_id: str) -> list[dict[str, Any]]:
    """Return what a partition of the messages' table holds, oldest first."""
    pages = (
        emulator.client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName="MessagesTable",
            KeyConditionExpression="chatId = :chat",
            ExpressionAttributeValues={":chat": {"S": chat_id}},
            ConsistentRead=True,
        )
    )
    items = [item for page in pages for item in page["Items"]]
    return [{name: next(iter(value.values())) for name, value in item.items()} for item in items]


def announcements(emulator: Emulator) -> Counter[str]:
    """Count how often each stored reply was announced again: the one documented case of a second end."""
    return Counter(event["message_id"] for event in _logged(emulator, "announcement_taken_over"))


def failed_posts(emulator: Emulator) -> Counter[str]:
    """Count the frames of each connection that may have come although their posts failed."""
    return Counter(event["target_connection_id"] for event in _logged(emulator, "post_failed"))


def _logged(emulator: Emulator, name: str) -> list[dict[str, Any]]:
    lines = [line for line in list(emulator.output) if f'"{name}"' in line]
    return [json.loads(line.partition(" │ ")[2]) for line in lines]
