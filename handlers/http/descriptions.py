"""Descriptions of the fields and the parameters in the OpenAPI document."""

from __future__ import annotations

from typing import Any

_COMMON = {
    "after": "The id of the message that this one comes after, `-` if it is the first of its path.",
    "arguments": "The arguments of the call: a text that should be JSON.",
    "assistant": "The id of the assistant that answers in the chat.",
    "assistants": "The assistants, the default one first.",
    "attachmentId": "The id of the file.",
    "attachments": "The files of the message.",
    "before": "The id of a message: those before it are returned.",
    "bytes": "The size of the file.",
    "callId": "The id of the call.",
    "chatId": "The id of the chat.",
    "chats": "The chats of the page.",
    "clientChatId": "The client's own id of the chat. The same id gives the same chat again.",
    "closed": "The number of connections that were open.",
    "completionTokens": "The tokens of the reply.",
    "connectedAt": "The time at which the connection was opened.",
    "connectionId": "The id that API Gateway gave to the connection.",
    "connections": "The open connections.",
    "content": "The whole text.",
    "createdAt": "The time of the creation.",
    "cursor": "The place where the next page begins. In a response it is null at the end.",
    "cut": "True if one of the part's texts is only its beginning.",
    "day": "The day (UTC).",
    "detail": "The reason of this refusal.",
    "disabled": "True if the user is refused like an unknown one.",
    "errors": "The fields that have the wrong form.",
    "expiresAt": "The time at which it ends.",
    "feedback": "The feedback on replies.",
    "fields": "The fields to post before the file.",
    "finishReason": "The reason why the reply ended, null for a message of a user.",
    "format": "The form of the file.",
    "givenAt": "The time at which the feedback was given.",
    "id": "The id of the file.",
    "index": "The number of the part in its reply.",
    "instance": "The path of the request.",
    "leaf": "The last message of the path that is shown, if that is not the newest one.",
    "message": "A text, which becomes a `notice`, or a frame, which is sent as it is.",
    "messageCount": "The number of messages, of all branches.",
    "messageId": "The id of the message.",
    "messages": "The messages, the oldest first.",
    "month": "The month (UTC), this one by default.",
    "name": "The name.",
    "offset": "The place of the part in the text of the reply, in UTF-16 code units.",
    "parts": "The parts of the reply, in the order of `index`.",
    "promptTokens": "The tokens of the prompt.",
    "reference": "The name of this failure in the logs.",
    "result": "The result of the call, or why there is none.",
    "retryAfter": "The time after which another try may help, in seconds.",
    "roles": "The roles of the user: `admin` makes an administrator.",
    "settings": "The variables whose values cannot be used.",
    "siblings": "The ids of all messages after the same one, the oldest first.",
    "starters": "Questions to begin a chat with.",
    "state": "The state of the call.",
    "status": "The state of the API.",
    "text": "The text.",
    "timestamp": "The time at which the message was stored.",
    "title": "The title.",
    "tokens": "The model's tokens.",
    "type": "The media type of the file.",
    "updatedAt": "The time of the user's last message.",
    "url": "The address.",
    "usage": "The model's tokens of the reply, null for a message of a user, or if they were not counted.",
    "userId": "The id of the user.",
    "users": "The users of the page.",
    "what": "What is wrong with it.",
    "where": "The place of the field in the request.",
}
"""By the name of a field or of a parameter."""

_OWN = {
    "AssistantView": {"title": "The name of the assistant, for people."},
    "ConnectionView": {"chatId": "The chat that it sees, null if there is none."},
    "DailyUsage": {"messages": "The number of messages."},
    "Frame": {"type": "The type of the frame.", "data": "The data of the frame."},
    "Health": {"assistants": "The files of assistants that cannot be used."},
    "MessageList": {
        "before": "The value of `before` for the page of older messages, null at the beginning of the chat.",
        "after": "The value of `after` for newer messages, now or later.",
    },
    "MessageView": {"feedback": "The user's rating of the reply."},
    "PartView": {"name": "The name of the tool.", "title": "The title of the source."},
    "Problem": {
        "type": "A URI that belongs to `code`.",
        "title": "A text that belongs to `code`.",
        "status": "The status of the response.",
    },
}
"""By the name of a schema, for fields whose name means something else there."""

_PARAMETERS = {"after": "The id of a message: those after it are returned."}


def describe(document: dict[str, Any]) -> None:
    """Add descriptions to the fields and the parameters of an OpenAPI document that have none."""
    for name, schema in document["components"]["schemas"].items():
        texts = _COMMON | _OWN.get(name, {})
        for key, field in schema.get("properties", {}).items():
            if key in texts and "$ref" not in field:
                field.setdefault("description", texts[key])
    texts = _COMMON | _PARAMETERS
    for operation in (each for path in document["paths"].values() for each in path.values()):
        for parameter in operation.get("parameters", ()):
            if parameter["name"] in texts:
                parameter.setdefault("description", texts[parameter["name"]])
