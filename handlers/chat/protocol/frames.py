"""Frames: every message of the wire protocol, in and out, as `docs/protocol.md` describes them.

A frame is a JSON object `{"type", "data", "requestId"?}`. Each class here is the `data` of one type.
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
from handlers.chat.records import FinishReason, Resume, Role

MAX_FRAME_BYTES = 32 * 1024
"""API Gateway bills each started 32 KB as a message, and closes a connection that sends a larger frame."""

MAX_OFFSET = 2**53 - 1
"""The largest whole number that JavaScript counts exactly (`Number.MAX_SAFE_INTEGER`)."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
TAG = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,64}")


def timestamp(moment: datetime) -> str:
    """Return a UTC moment as a text of the wire: RFC 3339 with milliseconds and `Z`."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utf16_length(text: str) -> int:
    """Return the length of a text in UTF-16 code units, as JavaScript's `String.length` counts."""
    return len(text) + sum(character > "\uffff" for character in text)


# Client to server


def clean(text: str) -> str:
    """Return a text in NFC, without control characters except newline and tab. Everything else stays as it is."""
    return unicodedata.normalize("NFC", _CONTROLS.sub("", text))


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("there is no text in it")
    return text


Text = Annotated[str, AfterValidator(clean)]
NonBlankText = Annotated[Text, AfterValidator(_not_blank)]
Title = Annotated[NonBlankText, Field(min_length=1, max_length=200)]
"""A title that somebody gives to a chat."""

Id = Annotated[str, Field(min_length=1, max_length=128)]
Tag = Annotated[str, Field(pattern=f"^{TAG.pattern}$")]
"""An id that a client chooses: at most 64 characters, no control characters."""


class ClientFrame(BaseModel):
    """The data of a frame from a client. Unknown fields are ignored, known ones must have their type."""

    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel)
    type: ClassVar[str]


class ResumePoint(BaseModel):
    """The part of a reply that a client has: `offset` UTF-16 code units, of this `attempt` if it is given."""

    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel)
    message_id: Id
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)]
    attempt: Annotated[int, Field(ge=1, le=MAX_OFFSET)] | None = None


class JoinChat(ClientFrame):
    """Authenticate. With `chat_id`, see that chat too, with a running reply from where `resume` says."""

    type: ClassVar[str] = "join_chat"
    token: str | None = None
    chat_id: Id | None = None
    resume: ResumePoint | None = None

    @property
    def resume_from(self) -> Resume | None:
        """The resume point as the domain knows it."""
        point = self.resume
        return Resume(point.message_id, point.offset, point.attempt) if point else None


class CreateChat(ClientFrame):
    """Create a chat and join it. The same `client_chat_id` gives the same chat again."""

    type: ClassVar[str] = "create_chat"
    title: Title | None = None
    client_chat_id: Tag | None = None


class SendMessage(ClientFrame):
    """Send a message to the joined chat."""

    type: ClassVar[str] = "message"
    message: Text
    client_message_id: Tag | None = None


class Cancel(ClientFrame):
    """End the running reply. If `message_id` names another reply, refuse."""

    type: ClassVar[str] = "cancel"
    message_id: Id | None = None


class Regenerate(ClientFrame):
    """Make the last reply again."""

    type: ClassVar[str] = "regenerate"


class LoadHistory(ClientFrame):
    """Ask for the messages that are older than one that the client has."""

    type: ClassVar[str] = "load_history"
    before: Id
    limit: Annotated[int, Field(ge=1, le=100)] | None = None


class LeaveChat(ClientFrame):
    """Leave the joined chat."""

    type: ClassVar[str] = "leave_chat"


class Ping(ClientFrame):
    """Keep the connection from closing because it is idle."""

    type: ClassVar[str] = "ping"


CLIENT_FRAMES: dict[str, type[ClientFrame]] = {
    frame.type: frame for frame in (JoinChat, CreateChat, SendMessage, Cancel, Regenerate, LoadHistory, LeaveChat, Ping)
}


# Server to client


def _absent() -> Any:
    """Declare a field that a frame leaves out if it is None."""
    return Field(default=None, exclude_if=lambda value: value is None)


class ServerFrame(BaseModel):
    """The data of a frame to a client."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True)
    type: ClassVar[str]


class ClientLimits(ServerFrame):
    """The limits that a client must know. `message_chars` counts UTF-16 code units.

    `messages_per_minute` is for all devices of a user together, and absent if there is no such limit. After
    `idle_seconds` without data API Gateway closes the connection.
    """

    message_chars: int
    messages_per_minute: int | None = _absent()
    idle_seconds: int = 600


class Connected(ServerFrame):
    """The greeting. `reconnect_before` is some minutes before API Gateway ends the connection."""

    type: ClassVar[str] = "connected"
    message: str = "WebSocket connection established"
    connection_id: str
    server_time: str
    reconnect_before: str
    limits: ClientLimits


class Authenticated(ServerFrame):
    """The connection has this user now."""

    type: ClassVar[str] = "authenticated"
    user_id: str


class ChatCreated(ServerFrame):
    """The chat exists, and the connection has joined it."""

    type: ClassVar[str] = "chat_created"
    chat_id: str
    title: str


class MessageView(ServerFrame):
    """A stored message. If its text does not fit into a frame, `content` is None and `length` is given."""

    message_id: str
    content: str | None
    role: Role
    timestamp: str
    finish_reason: FinishReason | None = _absent()
    length: int | None = _absent()


class RunningReply(ServerFrame):
    """A reply that is still being made."""

    message_id: str
    attempt: int


class ChatJoined(ServerFrame):
    """The connection sees this chat now: its newest messages, oldest first, and the running reply."""

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
    """A chat has a new title."""

    type: ClassVar[str] = "chat_updated"
    chat_id: str
    title: str


class ChatDeleted(ServerFrame):
    """A chat is deleted, with everything in it. Clients ignore frames of it that still come."""

    type: ClassVar[str] = "chat_deleted"
    chat_id: str


class Notice(ServerFrame):
    """A message of an administrator to one user or to everyone."""

    type: ClassVar[str] = "notice"
    message: str


class UserMessage(ServerFrame):
    """A user's message is stored. With `duplicate`, it was stored before under this `client_message_id`."""

    type: ClassVar[str] = "user_message"
    message_id: str
    content: str
    role: Role = Role.USER
    timestamp: str
    chat_id: str
    client_message_id: str | None = _absent()
    duplicate: bool | None = _absent()


class AssistantMessageStart(ServerFrame):
    """A reply begins or continues: `content` is its text from `offset` on. It replaces the reply `replaces`."""

    type: ClassVar[str] = "assistant_message_start"
    message: str
    message_id: str
    chat_id: str
    attempt: int = 1
    offset: int = 0
    content: str = ""
    replaces: str | None = _absent()


class AssistantMessageToken(ServerFrame):
    """A piece of a reply. It starts at `offset` of the reply's text."""

    type: ClassVar[str] = "assistant_message_token"
    token: str
    message_id: str
    attempt: int = 1
    offset: int


class TokenUsage(ServerFrame):
    """The model's tokens of one reply, as the model's server counted them."""

    prompt_tokens: int
    completion_tokens: int


class CostPart(StrEnum):
    """A part of a turn's cost in US dollars."""

    FRAMES = "frames"
    UNITS = "units"
    FUNCTIONS = "functions"
    TOKENS = "tokens"


class Cost(ServerFrame):
    """The cost of a turn: what it has used, and an estimate in US dollars of the parts in `covers`.

    `gb_seconds` is None if the memory of a function is not known.
    """

    frames: int
    read_units: float
    write_units: float
    invocations: int
    gb_seconds: float | None = _absent()
    usd: float
    covers: tuple[CostPart, ...]


class AssistantMessageComplete(ServerFrame):
    """A reply is stored. `content` is None if it does not fit into a frame. `length` is always its length."""

    type: ClassVar[str] = "assistant_message_complete"
    message_id: str
    content: str | None
    role: Role = Role.ASSISTANT
    timestamp: str
    chat_id: str
    attempt: int = 1
    length: int
    finish_reason: FinishReason
    usage: TokenUsage | None = _absent()
    cost: Cost | None = _absent()


class Error(ServerFrame):
    """A request was refused, or failed. If another try may help, `retry_after` is the time to wait, in seconds."""

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
    """Return the JSON object of a frame."""
    content = {"type": frame.type, "data": frame.model_dump(mode="json", by_alias=True)}
    return content if request_id is None else {**content, "requestId": request_id}


def encode(content: Mapping[str, Any]) -> bytes:
    """Return the UTF-8 text of a frame's JSON object. Raises ValueError for NaN and lone surrogates."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the data of all frames: a definition for each, named after its class."""
    shapes: list[type[BaseModel]] = [*CLIENT_FRAMES.values(), *SERVER_FRAMES]
    return models_json_schema([(shape, "serialization") for shape in shapes], title="Parley")[1]
