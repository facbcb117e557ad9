"""The bodies and parameters of HTTP requests, and the bodies of responses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from handlers.chat.assistants import Assistant
from handlers.chat.protocol import frames
from handlers.chat.protocol.attachments import MAX_NAME_CHARS, view
from handlers.chat.protocol.client_frames import Id, NonBlankText, Tag, Title
from handlers.chat.protocol.parts import placed
from handlers.chat.records import (
    MAX_USER_ID_CHARS,
    Attachment,
    Chat,
    Feedback,
    FinishReason,
    Message,
    PartKind,
    PartState,
    Rating,
    Role,
    User,
    is_user_id,
)
from handlers.chat.store.attachments import Link, Upload

ID_EXAMPLE = "0199d7c2-5f4e-7c1a-9a3b-2d4e6f8a0b1c"
TIME_EXAMPLE = "2026-11-23T12:00:00.000Z"


class ResponseBody(BaseModel):
    """The root of response bodies."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True)


class RequestBody(BaseModel):
    """The root of request bodies. Unknown fields are ignored, known ones must have their type."""

    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel)


def _user_id(value: str) -> str:
    if not is_user_id(value):
        raise ValueError(f"a user's id has 1 to {MAX_USER_ID_CHARS} characters, without / ? % and control characters")
    return value


ChatId = Annotated[str, Path(alias="chatId", min_length=1, max_length=128, examples=[ID_EXAMPLE])]
ReplyId = Annotated[str, Path(alias="messageId", min_length=1, max_length=128, examples=[ID_EXAMPLE])]
AttachmentId = Annotated[str, Path(alias="attachmentId", min_length=1, max_length=128, examples=[ID_EXAMPLE])]
UserId = Annotated[
    str,
    Path(
        alias="userId",
        min_length=1,
        max_length=MAX_USER_ID_CHARS,
        examples=["alice"],
        json_schema_extra={"pattern": "^[^/?%]+$"},
    ),
    AfterValidator(_user_id),
]
MessageId = Annotated[str, Query(min_length=1, max_length=128, examples=[ID_EXAMPLE])]
Cursor = Annotated[str, Query(min_length=1, max_length=1024, description="The `cursor` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=100, description="The most items on the page.")]
RoleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$", examples=["admin"])]
Roles = Annotated[list[RoleName], Field(max_length=16)]
Name = Annotated[NonBlankText, Field(min_length=1, max_length=200, examples=["Alice"])]
AssistantId = Annotated[str, Field(description="The name of the assistant's file.", examples=["default"])]
Time = Annotated[str, Field(examples=[TIME_EXAMPLE])]


class Health(ResponseBody):
    """The state of the API: `ok`, or `misconfigured` with the variables and the files that cannot be used."""

    status: Literal["ok", "misconfigured"] = "ok"
    settings: Annotated[list[str] | None, Field(examples=[["HISTORY_CHARS"]])] = None
    assistants: Annotated[list[str] | None, Field(examples=[["handlers/assistants/tea.py"]])] = None


class Me(ResponseBody):
    """The user of the token."""

    user_id: Annotated[str, Field(examples=["alice"])]
    name: Annotated[str, Field(examples=["Alice"])]
    roles: Annotated[list[str], Field(examples=[["admin"]])]


class DailyUsage(ResponseBody):
    """The user's messages and tokens of the model today (UTC). A number is 0 if no limit makes us count it."""

    day: Annotated[str, Field(examples=["2026-11-23"])]
    messages: int
    tokens: int


class AssistantView(ResponseBody):
    """An assistant, with questions to begin with."""

    id: AssistantId
    title: Annotated[str, Field(examples=["Assistant"])]
    starters: Annotated[list[str], Field(examples=[["What can you do?"]])]

    @classmethod
    def of(cls, assistant: Assistant, language: str) -> AssistantView:
        """Return the view of an assistant, with its title in a language."""
        return cls(id=assistant.id, title=assistant.title_in(language), starters=list(assistant.starters))


class AssistantList(ResponseBody):
    """The assistants, the default one first."""

    assistants: list[AssistantView]


class NewChat(RequestBody):
    """A chat to create. The same `clientChatId` gives the same chat again."""

    title: Title | None = None
    assistant: Annotated[Id | None, Field(examples=["default"])] = None
    client_chat_id: Tag | None = None


class ChatChange(RequestBody):
    """The new title of a chat."""

    title: Annotated[Title, Field(examples=["Tea"])]


class ChatSummary(ResponseBody):
    """A chat in a list."""

    chat_id: Annotated[str, Field(examples=[ID_EXAMPLE])]
    title: Annotated[str, Field(examples=["Tea"])]
    assistant: AssistantId
    updated_at: Time

    @classmethod
    def of(cls, chat: Chat, title: str) -> ChatSummary:
        """Return the view of a chat. `title` is the title that people see."""
        return cls(chat_id=chat.chat_id, title=title, assistant=chat.assistant_id, updated_at=_time(chat.updated_at))


class ChatView(ChatSummary):
    """A chat."""

    created_at: Time
    message_count: int

    @classmethod
    def of(cls, chat: Chat, title: str) -> ChatView:
        """Return the view of a chat. `title` is the title that people see."""
        return cls(
            chat_id=chat.chat_id,
            title=title,
            assistant=chat.assistant_id,
            updated_at=_time(chat.updated_at),
            created_at=_time(chat.created_at),
            message_count=chat.message_count,
        )


class ChatList(ResponseBody):
    """Chats, the one in which the user asked last first. `cursor` gives the next page, and is null at the end."""

    chats: list[ChatSummary]
    cursor: str | None


class TokenCount(ResponseBody):
    """The tokens of one reply."""

    prompt_tokens: int
    completion_tokens: int


def _left_out() -> Any:
    """Return a field that an answer leaves out if it is None."""
    return Field(default=None, exclude_if=lambda value: value is None)


class PartView(ResponseBody):
    """A part of a reply beside its text. `offset` is its place in the text, in UTF-16 code units.

    `cut` says that one of its texts is only its beginning.
    """

    index: int
    offset: int
    kind: PartKind
    text: str | None = _left_out()
    call_id: str | None = _left_out()
    name: str | None = _left_out()
    arguments: str | None = _left_out()
    state: PartState | None = _left_out()
    result: str | None = _left_out()
    url: str | None = _left_out()
    title: str | None = _left_out()
    cut: bool | None = _left_out()


class AttachmentView(ResponseBody):
    """A file of a message. `bytes` is its size."""

    id: Annotated[str, Field(examples=[ID_EXAMPLE])]
    name: Annotated[str, Field(examples=["tea.png"])]
    type: Annotated[str, Field(examples=["image/png"])]
    bytes: Annotated[int, Field(examples=[48_213])]

    @classmethod
    def of(cls, attachment: Attachment) -> AttachmentView:
        """Return the view of an attachment."""
        return cls.model_validate(view(attachment).as_data())


class NewAttachment(RequestBody):
    """A file to upload to a chat: its name, its media type and its size in bytes."""

    chat_id: Annotated[Id, Field(examples=[ID_EXAMPLE])]
    name: Annotated[NonBlankText, Field(min_length=1, max_length=MAX_NAME_CHARS, examples=["tea.png"])]
    type: Annotated[str, Field(min_length=1, max_length=80, examples=["image/png"])]
    bytes: Annotated[int, Field(ge=1, le=2**53 - 1, examples=[48_213])]


class UploadView(AttachmentView):
    """A form: post its `fields` and then the file, as the field `file`, to `url` before `expires_at`."""

    url: Annotated[str, Field(examples=["https://bucket.s3.eu-west-1.amazonaws.com/"])]
    fields_: Annotated[dict[str, str], Field(alias="fields", examples=[{"key": "…", "policy": "…"}])]
    expires_at: Time

    @classmethod
    def of(cls, attachment: Attachment, upload: Upload) -> UploadView:  # type: ignore[override]
        """Return the view of an upload."""
        return cls(
            **view(attachment).as_data(),
            url=upload.url,
            fields_=upload.fields,
            expires_at=frames.timestamp(upload.expires_at),
        )


class LinkView(AttachmentView):
    """A file, with the `url` at which anybody may read it before `expires_at`."""

    url: Annotated[str, Field(examples=["https://bucket.s3.eu-west-1.amazonaws.com/…"])]
    expires_at: Time

    @classmethod
    def of(cls, attachment: Attachment, link: Link) -> LinkView:  # type: ignore[override]
        """Return the view of a link."""
        return cls(**view(attachment).as_data(), url=link.url, expires_at=frames.timestamp(link.expires_at))


class MessageView(ResponseBody):
    """A message with its full text. A reply without parts has no `parts`, a message without files no `attachments`.

    `after` is the message before it on its path, `-` for none. It is given only where a branch begins. `siblings` are
    all messages that come after the same one, if there are others.
    """

    message_id: Annotated[str, Field(examples=[ID_EXAMPLE])]
    role: Role
    content: Annotated[str, Field(examples=["Is there tea?"])]
    timestamp: Time
    finish_reason: FinishReason | None = None
    usage: TokenCount | None = None
    parts: list[PartView] | None = _left_out()
    attachments: list[AttachmentView] | None = _left_out()
    after: Annotated[str | None, Field(examples=[ID_EXAMPLE])] = _left_out()
    siblings: list[str] | None = _left_out()
    feedback: Rating | None = _left_out()

    @classmethod
    def of(cls, message: Message, siblings: Mapping[str, tuple[str, ...]]) -> MessageView:
        """Return the view of a message. `siblings` are those of the messages that have some."""
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
            parts=[PartView.model_validate(placed(each).as_data()) for each in message.parts] or None,
            attachments=[AttachmentView.of(each) for each in message.attachments] or None,
            after=message.after,
            siblings=list(siblings.get(message.message_id, ())) or None,
            feedback=message.feedback,
        )


class MessageList(ResponseBody):
    """Messages, the oldest first.

    `before` gives the page of older messages, and is null at the beginning of the chat. `after` gives newer messages,
    now or later.
    """

    messages: list[MessageView]
    before: str | None
    after: str | None


class Export(ResponseBody):
    """A whole chat, with the messages of all its branches, the oldest first.

    A message comes after the one before it in the list, unless it says `after`. `leaf` is the last message of the path
    that is shown, if that is not the newest one.
    """

    chat: ChatView
    messages: list[MessageView]
    leaf: Annotated[str | None, Field(examples=[ID_EXAMPLE])] = _left_out()


class NewFeedback(RequestBody):
    """The feedback on a reply."""

    rating: Annotated[Rating, Field(strict=False, examples=["up"])]
    text: Annotated[NonBlankText, Field(min_length=1, max_length=2_000, examples=["Just what I needed"])] | None = None


class FeedbackView(ResponseBody):
    """The feedback of a user on a reply, for administrators."""

    user_id: Annotated[str, Field(examples=["alice"])]
    chat_id: Annotated[str, Field(examples=[ID_EXAMPLE])]
    message_id: Annotated[str, Field(examples=[ID_EXAMPLE])]
    rating: Rating
    text: str | None
    given_at: Time

    @classmethod
    def of(cls, feedback: Feedback) -> FeedbackView:
        """Return the view of feedback."""
        return cls(
            user_id=feedback.user_id,
            chat_id=feedback.chat_id,
            message_id=feedback.message_id,
            rating=feedback.rating,
            text=feedback.text,
            given_at=frames.timestamp(feedback.given_at),
        )


class FeedbackList(ResponseBody):
    """Feedback, that on the newest reply first. `cursor` gives the next page, and is null at the end."""

    feedback: list[FeedbackView]
    cursor: str | None


class Frame(RequestBody):
    """A frame for clients."""

    type: Annotated[str, Field(min_length=1, max_length=64, examples=["note"])]
    data: Annotated[dict[str, Any], Field(examples=[{"text": "Tea is ready"}])]


class Announcement(RequestBody):
    """A message to clients. A text becomes a `notice`, a frame is sent as it is."""

    message: Annotated[
        Annotated[NonBlankText, Field(min_length=1, max_length=10_000)] | Frame, Field(examples=["Tea is ready"])
    ]


class NewUser(RequestBody):
    """A user to create."""

    user_id: Annotated[
        str, Field(min_length=1, max_length=MAX_USER_ID_CHARS, examples=["carol"]), AfterValidator(_user_id)
    ]
    name: Name | None = None
    roles: Roles = Field(default_factory=list)


class UserChange(RequestBody):
    """Changes of a user. A field that is left out stays as it is."""

    name: Name | None = None
    roles: Roles | None = None
    disabled: bool | None = None


class UserView(ResponseBody):
    """A user, for administrators."""

    user_id: Annotated[str, Field(examples=["alice"])]
    name: str | None
    roles: list[str]
    disabled: bool
    created_at: str | None

    @classmethod
    def of(cls, user: User) -> UserView:
        """Return the view of a user."""
        created_at = frames.timestamp(user.created_at) if user.created_at else None
        return cls(
            user_id=user.user_id,
            name=user.name,
            roles=sorted(user.roles),
            disabled=user.disabled,
            created_at=created_at,
        )


class UserList(ResponseBody):
    """Users, in no particular order. `cursor` gives the next page, and is null at the end."""

    users: list[UserView]
    cursor: str | None


class ConnectionView(ResponseBody):
    """An open connection, and the chat that it has joined."""

    connection_id: Annotated[str, Field(examples=["BFaT_fALIAMCKug="])]
    chat_id: str | None
    connected_at: Time


class ConnectionList(ResponseBody):
    """The connections of a user. The list may be some milliseconds old."""

    connections: list[ConnectionView]


class Disconnected(ResponseBody):
    """The number of connections that were open, and are closed now."""

    closed: int


def _time(moment: datetime | None) -> str:
    return frames.timestamp(moment) if moment else ""
