"""Every frame of the wire protocol, in and out.

The shapes are those of `docs/protocol.md`. A frame is a JSON object `{"type", "data", "requestId"?}`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.json_schema import models_json_schema

from handlers.chat.errors import ErrorCode

LARGEST_FRAME = 32 * 1024
"""Bytes. API Gateway bills every 32 KB started as a message and closes on a larger frame from a client."""

LARGEST_OFFSET = 2**53 - 1
"""The largest whole number that JavaScript counts exactly."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
TAG = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,64}")


class Role(StrEnum):
    """Who wrote a message."""

    USER = "user"
    ASSISTANT = "assistant"


class FinishReason(StrEnum):
    """Why a reply ended."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    CANCELLED = "cancelled"
    ERROR = "error"


def timestamp(moment: datetime) -> str:
    """Return a UTC moment as the wire shows it: RFC 3339 with milliseconds and `Z`."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utf16_length(text: str) -> int:
    """Return the length of a text in UTF-16 code units, as JavaScript's `String.length` counts."""
    return len(text) + sum(character > "\uffff" for character in text)


# Client to server


def clean(text: str) -> str:
    """Return a text in NFC without control characters other than newline and tab. The rest is kept exactly."""
    return unicodedata.normalize("NFC", _CONTROLS.sub("", text))


Text = Annotated[str, AfterValidator(clean)]
Id = Annotated[str, Field(min_length=1, max_length=128)]
Tag = Annotated[str, Field(pattern=f"^{TAG.pattern}$")]
"""A name that a client gives: at most 64 characters, none of them a control character."""


class ClientFrame(BaseModel):
    """The data of a frame from a client. Unknown fields are ignored, known ones must have their type."""

    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel)
    type: ClassVar[str]


class Resume(BaseModel):
    """How much of a reply a client has: `offset` UTF-16 code units of it, from this `attempt` where it says so."""

    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel, validate_by_name=True)
    message_id: Id
    offset: Annotated[int, Field(ge=0, le=LARGEST_OFFSET)]
    attempt: Annotated[int, Field(ge=1, le=LARGEST_OFFSET)] | None = None


class JoinChat(ClientFrame):
    """Authenticate, and with `chat_id` see that chat, a running reply included: from where `resume` says."""

    type: ClassVar[str] = "join_chat"
    token: str | None = None
    chat_id: Id | None = None
    resume: Resume | None = None


class CreateChat(ClientFrame):
    """Create a chat and join it. The same `client_chat_id` gives the same chat again."""

    type: ClassVar[str] = "create_chat"
    title: Annotated[Text, Field(max_length=200)] | None = None
    client_chat_id: Tag | None = None


class SendMessage(ClientFrame):
    """Say something in the joined chat."""

    type: ClassVar[str] = "message"
    message: Text
    client_message_id: Tag | None = None


class Cancel(ClientFrame):
    """End the running reply, where it is this one or none is named."""

    type: ClassVar[str] = "cancel"
    message_id: Id | None = None


class Regenerate(ClientFrame):
    """Have the last reply made anew."""

    type: ClassVar[str] = "regenerate"


class LoadHistory(ClientFrame):
    """Ask for the messages before one that the client has."""

    type: ClassVar[str] = "load_history"
    before: Id
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class LeaveChat(ClientFrame):
    """Stop seeing the joined chat."""

    type: ClassVar[str] = "leave_chat"


class Ping(ClientFrame):
    """Keep the connection from being idle."""

    type: ClassVar[str] = "ping"


CLIENT_FRAMES: dict[str, type[ClientFrame]] = {
    frame.type: frame for frame in (JoinChat, CreateChat, SendMessage, Cancel, Regenerate, LoadHistory, LeaveChat, Ping)
}


# Server to client


def _absent() -> Any:
    """Declare a field that is left out of the frame when it is None."""
    return Field(default=None, exclude_if=lambda value: value is None)


class ServerFrame(BaseModel):
    """The data of a frame to a client."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True)
    type: ClassVar[str]


class Limits(ServerFrame):
    """What a client may do: `message_chars` in UTF-16 code units, `idle_seconds` until the gateway hangs up.

    `messages_per_minute` is all of a user's devices'; absent where there is no such limit.
    """

    message_chars: int
    messages_per_minute: int | None = _absent()
    idle_seconds: int = 600


class Connected(ServerFrame):
    """The greeting. `reconnect_before` lies ahead of the moment when the gateway ends the connection."""

    type: ClassVar[str] = "connected"
    message: str = "WebSocket connection established"
    connection_id: str
    server_time: str
    reconnect_before: str
    limits: Limits


class Authenticated(ServerFrame):
    """The connection belongs to this user now."""

    type: ClassVar[str] = "authenticated"
    user_id: str


class ChatCreated(ServerFrame):
    """The chat exists, and the connection has joined it."""

    type: ClassVar[str] = "chat_created"
    chat_id: str
    title: str


class MessageView(ServerFrame):
    """A stored message. `content` is None, and `length` given, where it does not fit into a frame."""

    message_id: str
    content: str | None
    role: Role
    timestamp: str
    finish_reason: FinishReason | None = _absent()
    length: int | None = _absent()


class RunningReply(ServerFrame):
    """A reply that is being made."""

    message_id: str
    attempt: int


class ChatJoined(ServerFrame):
    """The connection sees this chat now: its newest messages, oldest first, and the reply that is being made."""

    type: ClassVar[str] = "chat_joined"
    chat_id: str
    title: str
    messages: tuple[MessageView, ...]
    has_more: bool
    reply: RunningReply | None = _absent()


class ChatLeft(ServerFrame):
    """The connection no longer sees this chat."""

    type: ClassVar[str] = "chat_left"
    chat_id: str


class History(ServerFrame):
    """A page of older messages, oldest first."""

    type: ClassVar[str] = "history"
    chat_id: str
    messages: tuple[MessageView, ...]
    has_more: bool


class ChatUpdated(ServerFrame):
    """A chat got a new title."""

    type: ClassVar[str] = "chat_updated"
    chat_id: str
    title: str


class ChatDeleted(ServerFrame):
    """A chat is gone, with everything in it. What still comes of it is to be ignored."""

    type: ClassVar[str] = "chat_deleted"
    chat_id: str


class Notice(ServerFrame):
    """What an administrator has to say, to one user or to everyone."""

    type: ClassVar[str] = "notice"
    message: str


class UserMessage(ServerFrame):
    """A user's message is stored: with `duplicate` it was already, by this `client_message_id`."""

    type: ClassVar[str] = "user_message"
    message_id: str
    content: str
    role: Role = Role.USER
    timestamp: str
    chat_id: str
    client_message_id: str | None = _absent()
    duplicate: bool | None = _absent()


class AssistantMessageStart(ServerFrame):
    """A reply begins, in place of the reply `replaces`; or goes on here: `content` is its text from `offset` on."""

    type: ClassVar[str] = "assistant_message_start"
    message: str
    message_id: str
    chat_id: str
    attempt: int = 1
    offset: int = 0
    content: str = ""
    replaces: str | None = _absent()


class AssistantMessageToken(ServerFrame):
    """A piece of a reply, which starts at `offset` of its text."""

    type: ClassVar[str] = "assistant_message_token"
    token: str
    message_id: str
    attempt: int = 1
    offset: int


class Usage(ServerFrame):
    """The tokens of one reply, as the model's server counted them."""

    prompt_tokens: int
    completion_tokens: int


class Cost(ServerFrame):
    """What a turn has cost: frames posted, DynamoDB's units as it reported them, an estimate of all in US dollars."""

    frames: int
    read_units: float
    write_units: float
    usd: float


class AssistantMessageComplete(ServerFrame):
    """A reply is stored. `content` is None where it does not fit into a frame; `length` is always its length."""

    type: ClassVar[str] = "assistant_message_complete"
    message_id: str
    content: str | None
    role: Role = Role.ASSISTANT
    timestamp: str
    chat_id: str
    attempt: int = 1
    length: int
    finish_reason: FinishReason
    usage: Usage | None = _absent()
    cost: Cost | None = _absent()


class Error(ServerFrame):
    """A request was refused, or failed. `retry_after` is in seconds, where another try may help."""

    type: ClassVar[str] = "error"
    message: str
    code: ErrorCode
    retry_after: int | None = _absent()
    client_message_id: str | None = _absent()


class Pong(ServerFrame):
    """The answer to a ping."""

    type: ClassVar[str] = "pong"
    server_time: str


SERVER_FRAMES: tuple[type[ServerFrame], ...] = (
    *(
        Connected,
        Authenticated,
        ChatCreated,
        ChatJoined,
        ChatLeft,
        History,
        ChatUpdated,
        ChatDeleted,
        Notice,
        UserMessage,
    ),
    *(AssistantMessageStart, AssistantMessageToken, AssistantMessageComplete, Error, Pong),
)


def as_json(frame: ServerFrame, request_id: str | None = None) -> dict[str, Any]:
    """Return a frame as the JSON object that goes over the wire."""
    content = {"type": frame.type, "data": frame.model_dump(mode="json", by_alias=True)}
    return content if request_id is None else {**content, "requestId": request_id}


def encode(content: Mapping[str, Any]) -> bytes:
    """Return the UTF-8 text of a frame's JSON object. Raises ValueError for NaN and lone surrogates."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the data of every frame: one definition for each, named after its class."""
    shapes: list[type[BaseModel]] = [*CLIENT_FRAMES.values(), *SERVER_FRAMES]
    return models_json_schema([(shape, "serialization") for shape in shapes], title="Parley")[1]
