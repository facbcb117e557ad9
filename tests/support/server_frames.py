"""Frames of a server, as the terminal client takes them."""

from __future__ import annotations

from parley.client.frames import Frame


def frame(kind: str, request_id: str | None = None, **data: object) -> Frame:
    return Frame(kind, data, request_id)


def message(message_id: str, role: str, content: str | None) -> dict[str, str | None]:
    return {"messageId": message_id, "role": role, "content": content, "timestamp": "2026-01-01T00:00:00.000Z"}


def joined(*messages: dict[str, str | None], chat_id: str = "c1", **more: object) -> Frame:
    fields = {"chatId": chat_id, "title": "Talk", "messages": list(messages), "hasMore": False}
    return frame("chat_joined", **fields | more)


def start(message_id: str = "r1", attempt: int = 1, offset: int = 0, content: str = "", **more: object) -> Frame:
    fields = {"messageId": message_id, "attempt": attempt, "offset": offset, "content": content, **more}
    return frame("assistant_message_start", chatId="c1", message="…", **fields)


def token(text: str, offset: int, attempt: int = 1, message_id: str = "r1") -> Frame:
    return frame("assistant_message_token", token=text, messageId=message_id, attempt=attempt, offset=offset)


def complete(
    content: str | None, message_id: str = "r1", attempt: int = 1, reason: str = "stop", length: int | None = None
) -> Frame:
    fields = {"messageId": message_id, "content": content, "attempt": attempt, "finishReason": reason}
    length = len(content or "") if length is None else length
    return frame("assistant_message_complete", chatId="c1", role="assistant", length=length, **fields)


def acknowledged(client_message_id: str | None, message_id: str = "u1", **more: object) -> Frame:
    fields = {"messageId": message_id, "content": "Hi", "clientMessageId": client_message_id, **more}
    return frame("user_message", chatId="c1", role="user", **fields)
