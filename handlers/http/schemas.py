"""What goes over HTTP, in and out."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from handlers.chat.protocol import frames
from handlers.chat.protocol.frames import Tag, Text
from handlers.chat.records import Chat, FinishReason, Message, Role, User

ID_EXAMPLE = "0199d7c2-5f4e-7c1a-9a3b-2d4e6f8a0b1c"
TIME_EXAMPLE = "2026-11-23T12:00:00.000Z"


class Shape(BaseModel):
    """The root of what is answered."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True)


class Request(BaseModel):
    """The root of what is asked for. Unknown fields are ignored, known ones must have their type."""

    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel)


def _user_id(value: str) -> str:
    if any(unicodedata.category(character).startswith("C") for character in value):
        raise ValueError("a user's id has no control characters")
    return value


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("there is no text in it")
    return value


ChatId = Annotated[str, Path(alias="chatId", min_length=1, max_length=128, examples=[ID_EXAMPLE])]
UserId = Annotated[str, Path(alias="userId", min_length=1, max_length=128, examples=["alice"])]
MessageId = Annotated[str, Query(min_length=1, max_length=128, examples=[ID_EXAMPLE])]
Cursor = Annotated[str, Query(min_length=1, max_length=1024, description="What the page before gave as `cursor`.")]
Limit = Annotated[int, Query(ge=1, le=100, description="Most items of the page.")]
Title = Annotated[Text, Field(max_length=200)]
Said = Annotated[Text, AfterValidator(_said)]
RoleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$", examples=["admin"])]
Roles = Annotated[list[RoleName], Field(max_length=16)]
Name = Annotated[Said, Field(min_length=1, max_length=200, examples=["Alice"])]
Time = Annotated[str, Field(examples=[TIME_EXAMPLE])]


class Health(Shape):
    """The function runs."""

    status: str = "ok"


class Me(Shape):
    """Whose the token is."""

    user_id: Annotated[str, Field(examples=["alice"])]
    name: Annotated[str, Field(examples=["Alice"])]
    roles: Annotated[list[str], Field(examples=[["admin"]])]


class DailyUsage(Shape):
    """What the user has used up today (UTC): messages sent, tokens of the model. 0 where no limit has it counted."""

    day: Annotated[str, Field(examples=["2026-11-23"])]
    messages: int
    tokens: int


class NewChat(Request):
    """A chat to be created. The same `clientChatId` gives the same chat again."""

    title: Title | None = None
    client_chat_id: Tag | None = None


class ChatChange(Request):
    """A chat's new title."""

    title: Annotated[Said, Field(min_length=1, max_length=200, examples=["Tea"])]


class ChatSummary(Shape):
    """A chat, as it is listed."""

    chat_id: Annotated[str, Field(examples=[ID_EXAMPLE])]
    title: Annotated[str, Field(examples=["Tea"])]
    updated_at: Time

    @classmethod
    def of(cls, chat: Chat, title: str) -> ChatSummary:
        """Return what a list shows of a chat. `title` is the one that people see."""
        return cls(chat_id=chat.chat_id, title=title, updated_at=_time(chat.updated_at))


class ChatView(ChatSummary):
    """A chat."""

    created_at: Time
    message_count: int

    @classmethod
    def of(cls, chat: Chat, title: str) -> ChatView:
        """Return what is shown of a chat. `title` is the one that people see."""
        return cls(
            chat_id=chat.chat_id,
            title=title,
            updated_at=_time(chat.updated_at),
            created_at=_time(chat.created_at),
            message_count=chat.message_count,
        )


class ChatList(Shape):
    """Chats, the one with the newest message first. `cursor` leads to the next page, null at the end."""

    chats: list[ChatSummary]
    cursor: str | None


class TokenCount(Shape):
    """The tokens of one reply."""

    prompt_tokens: int
    completion_tokens: int


class MessageView(Shape):
    """A message, whole."""

    message_id: Annotated[str, Field(examples=[ID_EXAMPLE])]
    role: Role
    content: Annotated[str, Field(examples=["Is there tea?"])]
    timestamp: Time
    finish_reason: FinishReason | None = None
    usage: TokenCount | None = None

    @classmethod
    def of(cls, message: Message) -> MessageView:
        """Return what is shown of a message."""
        usage = message.usage
        return cls(
            message_id=message.message_id,
            role=message.role,
            content=message.content,
            timestamp=frames.timestamp(message.timestamp),
            finish_reason=message.finish_reason,
            usage=TokenCount(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)
            if usage
            else None,
        )


class MessageList(Shape):
    """Messages, the oldest first.

    `before` leads to the page of older ones, null at the beginning of the chat; `after` to newer ones, now or later.
    """

    messages: list[MessageView]
    before: str | None
    after: str | None


class Export(Shape):
    """A whole chat."""

    chat: ChatView
    messages: list[MessageView]


class Frame(Request):
    """A frame as clients get it."""

    type: Annotated[str, Field(min_length=1, max_length=64, examples=["note"])]
    data: Annotated[dict[str, Any], Field(examples=[{"text": "Tea is ready"}])]


class Announcement(Request):
    """What clients are sent: a text becomes a `notice`, a frame goes out as it is."""

    message: Annotated[
        Annotated[Said, Field(min_length=1, max_length=10_000)] | Frame, Field(examples=["Tea is ready"])
    ]


class NewUser(Request):
    """A user to be created."""

    user_id: Annotated[str, Field(min_length=1, max_length=128, examples=["carol"]), AfterValidator(_user_id)]
    name: Name | None = None
    roles: Roles = Field(default_factory=list)


class UserChange(Request):
    """What is to be different about a user. What is left out stays as it is."""

    name: Name | None = None
    roles: Roles | None = None
    disabled: bool | None = None


class UserView(Shape):
    """A user, as administrators see them."""

    user_id: Annotated[str, Field(examples=["alice"])]
    name: str | None
    roles: list[str]
    disabled: bool
    created_at: str | None

    @classmethod
    def of(cls, user: User) -> UserView:
        """Return what is shown of a user."""
        created_at = frames.timestamp(user.created_at) if user.created_at else None
        return cls(
            user_id=user.user_id,
            name=user.name,
            roles=sorted(user.roles),
            disabled=user.disabled,
            created_at=created_at,
        )


class UserList(Shape):
    """Users, in no particular order. `cursor` leads to the next page, null at the end."""

    users: list[UserView]
    cursor: str | None


class ConnectionView(Shape):
    """An open connection. `chatId` is the chat that it sees."""

    connection_id: Annotated[str, Field(examples=["BFaT_fALIAMCKug="])]
    chat_id: str | None
    connected_at: Time


class ConnectionList(Shape):
    """The connections of a user, as the index knows them: some milliseconds late."""

    connections: list[ConnectionView]


class Disconnected(Shape):
    """How many connections were open, and are closed now."""

    closed: int


def _time(moment: datetime | None) -> str:
    return frames.timestamp(moment) if moment else ""
