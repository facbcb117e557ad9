"""Frames: every message of the wire protocol that we send, as `docs/protocol.md` describes them.

A frame is a JSON object `{"type", "data", "requestId"?}`. Each class here is the `data` of one type. They are plain
dataclasses: we make them, so nothing has to be checked, and a function that only sends starts without pydantic. What
clients send is in `client_frames`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, dataclass_transform

from handlers.chat.errors import ErrorCode
from handlers.chat.records import FinishReason, PartKind, PartState, Rating, Role

PROTOCOL = "1.2"
"""The version of `docs/protocol.md`, which says when it changes."""

MAX_FRAME_BYTES = 32 * 1024
"""API Gateway bills each started 32 KB as a message, and closes a connection that sends a larger frame."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def timestamp(moment: datetime) -> str:
    """Return a UTC moment as a text of the wire: RFC 3339 with milliseconds and `Z`."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utf16_length(text: str) -> int:
    """Return the length of a text in UTF-16 code units, as JavaScript's `String.length` counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def clean(text: str) -> str:
    """Return a text in NFC, without control characters except newline and tab. Everything else stays as it is."""
    return unicodedata.normalize("NFC", _CONTROLS.sub("", text))


_LEFT_OUT = {"left_out": True}
"""Of a field that a frame leaves out if it is None."""


def camel(name: str) -> str:
    """Return the name that a field has on the wire."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class ServerFrame:
    """The data of a frame to a client. Each subclass is a frozen dataclass."""

    type: ClassVar[str]
    __pydantic_config__: ClassVar = {"alias_generator": camel}
    """The names for the JSON Schema (`infra/contract`)."""

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, kw_only=True)(cls)

    def as_data(self) -> dict[str, Any]:
        """Return the JSON object of the data."""
        data: dict[str, Any] = {}
        for name, wire_name, leave_out in _fields(type(self)):  # type: ignore[arg-type]
            value = getattr(self, name)
            if type(value) is str:  # most are, and a long history has thousands
                data[wire_name] = value
            elif not (leave_out and value is None):
                data[wire_name] = _plain(value)
        return data


@cache
def _fields(frame: type) -> tuple[tuple[str, str, bool], ...]:
    """Return the fields of a frame, each with its name on the wire, and True if it is left out when it is None."""
    return tuple((each.name, camel(each.name), bool(each.metadata)) for each in fields(frame))


def _plain(value: Any) -> Any:
    """Return the JSON value of a field."""
    if isinstance(value, ServerFrame):
        return value.as_data()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value.value if isinstance(value, StrEnum) else value


class ClientLimits(ServerFrame):
    """The limits that a client must know."""

    message_chars: int
    """The most UTF-16 code units in the text of a message."""
    messages_per_minute: int | None = field(default=None, metadata=_LEFT_OUT)
    """The most messages of all devices of a user in a minute. Absent if there is no such limit."""
    idle_seconds: int = 600
    """The time without data after which API Gateway closes the connection."""


class AssistantView(ServerFrame):
    """An assistant that a new chat may name, with questions to begin with."""

    id: str
    """The id that `create_chat` may name."""
    title: str
    """The name of the assistant, for people."""
    starters: tuple[str, ...] = ()
    """Questions to begin a chat with."""


class Connected(ServerFrame):
    """The greeting. It may come late, or twice: ignore the second."""

    type: ClassVar[str] = "connected"
    message: str = "WebSocket connection established"
    """A fixed text."""
    protocol: str = PROTOCOL
    """The version of the protocol, `MAJOR.MINOR`."""
    connection_id: str
    """The id that API Gateway gave to the connection."""
    server_time: str
    reconnect_before: str
    """The time by which to connect again: some minutes before API Gateway ends the connection."""
    limits: ClientLimits
    assistants: tuple[AssistantView, ...] = ()
    """The assistants, the default one first, as many as fit into the frame."""


class Authenticated(ServerFrame):
    """The connection has this user now."""

    type: ClassVar[str] = "authenticated"
    user_id: str
    """The id of the user."""


class ChatCreated(ServerFrame):
    """The chat exists, and the connection has joined it."""

    type: ClassVar[str] = "chat_created"
    chat_id: str
    title: str
    assistant: str


class PartView(ServerFrame):
    """A part of a reply beside its text. All of its texts are input of strangers: show them as text."""

    index: int | None = field(default=None, metadata=_LEFT_OUT)
    """The number of the part in its reply, where the frame does not say it."""
    offset: int | None = field(default=None, metadata=_LEFT_OUT)
    """The place of the part in the text of the reply, where the frame does not say it."""
    kind: PartKind
    text: str | None = field(default=None, metadata=_LEFT_OUT)
    """The text of the part, or the piece of it from `text_offset` on."""
    text_offset: int | None = field(default=None, metadata=_LEFT_OUT)
    """The place in the part's whole text where `text` begins. Absent if that is the whole text."""
    call_id: str | None = field(default=None, metadata=_LEFT_OUT)
    """The id of the call, for `approve`."""
    name: str | None = field(default=None, metadata=_LEFT_OUT)
    """The name of the tool."""
    arguments: str | None = field(default=None, metadata=_LEFT_OUT)
    """The arguments of the call: a text that should be JSON."""
    state: PartState | None = field(default=None, metadata=_LEFT_OUT)
    result: str | None = field(default=None, metadata=_LEFT_OUT)
    """The result of the call, or why there is none."""
    url: str | None = field(default=None, metadata=_LEFT_OUT)
    """The address of the source."""
    title: str | None = field(default=None, metadata=_LEFT_OUT)
    cut: bool | None = field(default=None, metadata=_LEFT_OUT)
    """True if one of the part's texts is only its beginning."""


class AttachmentView(ServerFrame):
    """A file of a message."""

    id: str
    """The id of the file."""
    name: str
    """The name of the file: input of a stranger."""
    type: str  # type: ignore[misc]  # of the file, and not of a frame
    """The media type of the file."""
    bytes: int
    """The size of the file."""


class MessageView(ServerFrame):
    """A stored message."""

    message_id: str
    content: str | None
    """The text, or None if it does not fit into a frame."""
    role: Role
    timestamp: str
    finish_reason: FinishReason | None = field(default=None, metadata=_LEFT_OUT)
    length: int | None = field(default=None, metadata=_LEFT_OUT)
    """The length of a text that does not fit into a frame, in UTF-16 code units."""
    parts: tuple[PartView, ...] | None = field(default=None, metadata=_LEFT_OUT)
    """The parts of a reply, in the order of `index`. Absent if there are none, or if they do not fit into a frame."""
    part_count: int | None = field(default=None, metadata=_LEFT_OUT)
    """The number of the parts, if they do not fit into a frame."""
    attachments: tuple[AttachmentView, ...] | None = field(default=None, metadata=_LEFT_OUT)
    siblings: tuple[str, ...] | None = field(default=None, metadata=_LEFT_OUT)
    """The ids of all messages after the same one, the oldest first, this one too. Absent if there are no others."""
    feedback: Rating | None = field(default=None, metadata=_LEFT_OUT)
    """The user's rating of the reply."""


class RunningReply(ServerFrame):
    """A reply that is still being made."""

    message_id: str
    attempt: int


class ChatJoined(ServerFrame):
    """The connection sees this chat now: its newest messages, oldest first, and the running reply."""

    type: ClassVar[str] = "chat_joined"
    chat_id: str
    title: str
    assistant: str
    messages: tuple[MessageView, ...]
    has_more: bool
    reply: RunningReply | None = field(default=None, metadata=_LEFT_OUT)
    """The reply that is being made now, or that waits for the user."""


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
    """The text."""
    notice_id: str | None = field(default=None, metadata=_LEFT_OUT)
    """The id of the notice. It may come twice, with the same id."""


class UserMessage(ServerFrame):
    """A user's message is stored. Every other connection in the chat gets the frame too, without `requestId`."""

    type: ClassVar[str] = "user_message"
    message_id: str
    content: str
    """The text."""
    role: Role = Role.USER
    timestamp: str
    chat_id: str
    client_message_id: str | None = field(default=None, metadata=_LEFT_OUT)
    duplicate: bool | None = field(default=None, metadata=_LEFT_OUT)
    """True if the message was stored before, under this `client_message_id`."""
    attachments: tuple[AttachmentView, ...] | None = field(default=None, metadata=_LEFT_OUT)
    replaces: str | None = field(default=None, metadata=_LEFT_OUT)
    """The message that this edited one replaces, with all that came after it."""


class BranchSelected(ServerFrame):
    """The chat shows the branch of this message now. Clients join the chat again to see it."""

    type: ClassVar[str] = "branch_selected"
    chat_id: str
    message_id: str
    """The message whose branch is shown."""


class AssistantMessageStart(ServerFrame):
    """A reply begins, or continues where a client joined late or a new attempt began."""

    type: ClassVar[str] = "assistant_message_start"
    message: str
    """A text for people: the reply is being made."""
    message_id: str
    chat_id: str
    attempt: int = 1
    offset: int = 0
    content: str = ""
    """The text of the reply up to now, from `offset` on."""
    replaces: str | None = field(default=None, metadata=_LEFT_OUT)
    """The reply that this one replaces."""


class AssistantMessageToken(ServerFrame):
    """A piece of a reply."""

    type: ClassVar[str] = "assistant_message_token"
    token: str
    """One or more tokens of the model, joined."""
    message_id: str
    attempt: int = 1
    offset: int


class AssistantMessagePart(ServerFrame):
    """A part of a reply as it is now. The newest frame of an `index` counts."""

    type: ClassVar[str] = "assistant_message_part"
    message_id: str
    attempt: int = 1
    index: int
    """The number of the part in its reply. Numbers may be missing."""
    offset: int
    """The place of the part in the text of the reply, in UTF-16 code units."""
    part: PartView


class CallAnswered(ServerFrame):
    """The user has approved a call, or refused it."""

    type: ClassVar[str] = "call_answered"
    message_id: str
    call_id: str
    approved: bool
    """True if the call may be made."""


class TokenUsage(ServerFrame):
    """The model's tokens of one reply, as the model's server counted them."""

    prompt_tokens: int
    """The tokens of the prompt."""
    completion_tokens: int
    """The tokens of the reply."""


class CostPart(StrEnum):
    """A part of a turn's cost in US dollars."""

    FRAMES = "frames"
    UNITS = "units"
    FUNCTIONS = "functions"
    TOKENS = "tokens"


class Cost(ServerFrame):
    """The cost of a turn: what it has used, and an estimate in US dollars of the parts in `covers`."""

    frames: int
    """The messages that API Gateway bills."""
    read_units: float
    """DynamoDB's read request units."""
    write_units: float
    """DynamoDB's write request units."""
    invocations: int
    """The invocations of Lambda functions."""
    gb_seconds: float | None = field(default=None, metadata=_LEFT_OUT)
    """The seconds of these invocations, multiplied by the memory in GB. Absent if that is not known."""
    usd: float
    """US dollars for the parts in `covers`."""
    covers: tuple[CostPart, ...]
    """The parts that `usd` includes. A part that is missing is not free: its price is not known."""


class AssistantMessageComplete(ServerFrame):
    """A reply is stored, and ends. Ignore what comes of it later."""

    type: ClassVar[str] = "assistant_message_complete"
    message_id: str
    content: str | None
    """The whole text, or None if it does not fit into a frame."""
    role: Role = Role.ASSISTANT
    timestamp: str
    chat_id: str
    attempt: int = 1
    length: int
    """The length of the whole text, in UTF-16 code units."""
    finish_reason: FinishReason
    usage: TokenUsage | None = field(default=None, metadata=_LEFT_OUT)
    cost: Cost | None = field(default=None, metadata=_LEFT_OUT)
    part_count: int | None = field(default=None, metadata=_LEFT_OUT)
    """The number of the stored parts. Absent if there are none."""


class Error(ServerFrame):
    """A request was refused, or failed."""

    type: ClassVar[str] = "error"
    message: str
    """A text for people."""
    code: ErrorCode
    retry_after: int | None = field(default=None, metadata=_LEFT_OUT)
    """The time to wait before another try, in seconds, where it is known."""
    client_message_id: str | None = field(default=None, metadata=_LEFT_OUT)


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
        BranchSelected,
    ),
    *(AssistantMessageStart, AssistantMessageToken, AssistantMessagePart, AssistantMessageComplete),
    *(CallAnswered, Error, Pong),
)


def as_json(frame: ServerFrame, request_id: str | None = None) -> dict[str, Any]:
    """Return the JSON object of a frame."""
    content = {"type": frame.type, "data": frame.as_data()}
    return content if request_id is None else {**content, "requestId": request_id}


def with_notice_id(content: Mapping[str, Any], notice_id: str) -> dict[str, Any]:
    """Return the JSON object of a frame; of a notice without an id, with this id, if the frame is not too large then.

    Clients drop a notice whose id they know: it may be delivered twice.
    """
    data = content.get("data")
    if content.get("type") != Notice.type or not isinstance(data, Mapping) or data.get("noticeId") is not None:
        return dict(content)
    identified = {**content, "data": {**data, "noticeId": notice_id}}
    return identified if len(encode(identified)) <= MAX_FRAME_BYTES else dict(content)


_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encode(content: Mapping[str, Any]) -> bytes:
    """Return the UTF-8 text of a frame's JSON object. Raises ValueError for NaN and lone surrogates."""
    return _JSON.encode(content).encode()
