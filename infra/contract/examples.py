"""Examples of frames: at least one of each type, in the order of one conversation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handlers.chat.errors import MESSAGES, ErrorCode
from handlers.chat.protocol import frames
from handlers.chat.protocol.frames import (
    AssistantMessageComplete,
    AssistantMessagePart,
    AssistantMessageStart,
    AssistantMessageToken,
    AssistantView,
    AttachmentView,
    Authenticated,
    BranchSelected,
    CallAnswered,
    ChatCreated,
    ChatDeleted,
    ChatJoined,
    ChatLeft,
    ChatUpdated,
    ClientLimits,
    Connected,
    Cost,
    CostPart,
    Error,
    History,
    MessageView,
    Notice,
    PartView,
    Pong,
    RunningReply,
    ServerFrame,
    TokenUsage,
    UserMessage,
)
from handlers.chat.records import FinishReason, PartKind, PartState, Role

CHAT, QUESTION, REPLY, OLDER, FILE = (f"0199d7c2-5f4e-7c1a-9a3b-2d4e6f8a0b{number:02x}" for number in range(5))
CONNECTION, TOKEN = "BFaT_fALIAMCKug=", "eyJhbGciOiJIUzI1NiJ9…"
"""The token is cut: an example is no secret."""

NOW = "2026-11-23T12:00:00.000Z"
TEXT = "Yes, there is."
PIECE, REST = TEXT[:10], TEXT[10:]


@dataclass(frozen=True)
class Example:
    """A frame, with a few words about it."""

    summary: str
    frame: Mapping[str, Any]


def _client(summary: str, kind: str, request_id: str | None = None, **data: Any) -> Example:
    frame = {"type": kind, "data": data}
    return Example(summary, frame if request_id is None else {**frame, "requestId": request_id})


def _server(summary: str, frame: ServerFrame, request_id: str | None = None) -> Example:
    return Example(summary, frames.as_json(frame, request_id))


CLIENT = (
    _client("Authenticate", "join_chat", "1", token=TOKEN),
    _client("Join a chat", "join_chat", "2", chatId=CHAT),
    _client(
        "Join after the connection was lost in the middle of a reply",
        "join_chat",
        token=TOKEN,
        chatId=CHAT,
        resume={"messageId": REPLY, "offset": len(PIECE), "attempt": 1},
    ),
    _client("A chat with the default assistant", "create_chat", "3"),
    _client("A chat that a repeat finds again", "create_chat", title="Tea", assistant="default", clientChatId="tea-1"),
    _client("A message", "message", "4", message="Is there tea?", clientMessageId="m-1"),
    _client("A message with a file", "message", message="What is this?", attachments=[FILE]),
    _client("Stop the running reply", "cancel", messageId=REPLY),
    _client("Let a tool be called", "approve", callId="call-1", approved=True),
    _client("Make the last reply again", "regenerate", "5"),
    _client(
        "Ask something else instead", "edit", messageId=QUESTION, message="Is there coffee?", clientMessageId="m-2"
    ),
    _client("Show another branch", "select", messageId=OLDER),
    _client("The page of older messages", "load_history", "6", before=QUESTION, limit=20),
    _client("Leave the chat", "leave_chat"),
    _client("Keep the connection open", "ping"),
)

_ATTACHMENT = AttachmentView(id=FILE, name="tea.png", type="image/png", bytes=48_213)
_STORED = MessageView(message_id=QUESTION, content="Is there tea?", role=Role.USER, timestamp=NOW)

SERVER = (
    _server(
        "The greeting",
        Connected(
            connection_id=CONNECTION,
            server_time=NOW,
            reconnect_before="2026-11-23T13:55:00.000Z",
            limits=ClientLimits(message_chars=10_000, messages_per_minute=20),
            assistants=(AssistantView(id="default", title="Assistant", starters=("What can you do?",)),),
        ),
    ),
    _server("The connection has a user", Authenticated(user_id="alice"), "1"),
    _server("A new chat", ChatCreated(chat_id=CHAT, title="New chat", assistant="default"), "3"),
    _server(
        "A chat whose reply runs",
        ChatJoined(
            chat_id=CHAT,
            title="Tea",
            assistant="default",
            messages=(_STORED,),
            has_more=False,
            reply=RunningReply(message_id=REPLY, attempt=1),
        ),
        "2",
    ),
    _server(
        "A reply with a call of a tool, and another one that replaced it",
        ChatJoined(
            chat_id=CHAT,
            title="Tea",
            assistant="default",
            messages=(
                MessageView(
                    message_id=REPLY,
                    content=TEXT,
                    role=Role.ASSISTANT,
                    timestamp=NOW,
                    finish_reason=FinishReason.STOP,
                    parts=(
                        PartView(
                            index=0,
                            offset=0,
                            kind=PartKind.TOOL_CALL,
                            call_id="call-1",
                            name="stock",
                            arguments='{"of": "tea"}',
                            state=PartState.DONE,
                            result="12 tins",
                        ),
                    ),
                    siblings=(OLDER, REPLY),
                ),
            ),
            has_more=True,
        ),
    ),
    _server("The chat is left", ChatLeft(chat_id=CHAT)),
    _server("Older messages", History(chat_id=CHAT, messages=(_STORED,), has_more=False), "6"),
    _server("A new title", ChatUpdated(chat_id=CHAT, title="Tea in stock")),
    _server("A chat is deleted", ChatDeleted(chat_id=CHAT)),
    _server("To everyone", Notice(message="We are back at noon.", notice_id=OLDER)),
    _server(
        "A message is stored",
        UserMessage(message_id=QUESTION, content="Is there tea?", timestamp=NOW, chat_id=CHAT, client_message_id="m-1"),
        "4",
    ),
    _server(
        "A message was sent twice",
        UserMessage(
            message_id=QUESTION,
            content="Is there tea?",
            timestamp=NOW,
            chat_id=CHAT,
            client_message_id="m-1",
            duplicate=True,
        ),
    ),
    _server(
        "A message with a file, in the place of another one",
        UserMessage(
            message_id=OLDER,
            content="What is this?",
            timestamp=NOW,
            chat_id=CHAT,
            attachments=(_ATTACHMENT,),
            replaces=QUESTION,
        ),
    ),
    _server("Another branch is shown", BranchSelected(chat_id=CHAT, message_id=OLDER)),
    _server(
        "A reply begins", AssistantMessageStart(message="The assistant is typing…", message_id=REPLY, chat_id=CHAT)
    ),
    _server(
        "A reply as a client sees it that joins late",
        AssistantMessageStart(
            message="The assistant is typing…", message_id=REPLY, chat_id=CHAT, attempt=2, content=PIECE
        ),
    ),
    _server("The first piece", AssistantMessageToken(token=PIECE, message_id=REPLY, offset=0)),
    _server("The next piece", AssistantMessageToken(token=REST, message_id=REPLY, offset=len(PIECE))),
    _server(
        "A call of a tool waits for the user",
        AssistantMessagePart(
            message_id=REPLY,
            index=0,
            offset=0,
            part=PartView(
                kind=PartKind.TOOL_CALL,
                call_id="call-1",
                name="stock",
                arguments='{"of": "tea"}',
                state=PartState.WAITING,
            ),
        ),
    ),
    _server(
        "A source",
        AssistantMessagePart(
            message_id=REPLY,
            index=1,
            offset=4,
            part=PartView(kind=PartKind.SOURCE, url="https://example.com/tea", title="Tea"),
        ),
    ),
    _server(
        "A piece of the model's thoughts",
        AssistantMessagePart(
            message_id=REPLY, index=2, offset=4, part=PartView(kind=PartKind.REASONING, text="Tins…", text_offset=0)
        ),
    ),
    _server(
        "A refusal",
        AssistantMessagePart(
            message_id=REPLY, index=3, offset=4, part=PartView(kind=PartKind.REFUSAL, text="I cannot say.")
        ),
    ),
    _server("A call is approved", CallAnswered(message_id=REPLY, call_id="call-1", approved=True)),
    _server(
        "A reply is complete",
        AssistantMessageComplete(
            message_id=REPLY,
            content=TEXT,
            timestamp=NOW,
            chat_id=CHAT,
            length=len(TEXT),
            finish_reason=FinishReason.STOP,
            usage=TokenUsage(prompt_tokens=120, completion_tokens=5),
            cost=Cost(
                frames=5,
                read_units=4.5,
                write_units=11,
                invocations=2,
                gb_seconds=0.9,
                usd=0.000036,
                covers=(CostPart.FRAMES, CostPart.UNITS, CostPart.FUNCTIONS),
            ),
            part_count=1,
        ),
    ),
    _server(
        "A reply whose text does not fit into a frame",
        AssistantMessageComplete(
            message_id=REPLY,
            content=None,
            timestamp=NOW,
            chat_id=CHAT,
            length=50_000,
            finish_reason=FinishReason.LENGTH,
        ),
    ),
    _server(
        "A limit is reached",
        Error(
            message="Too many messages: at most 20 a minute",
            code=ErrorCode.RATE_LIMITED,
            retry_after=12,
            client_message_id="m-1",
        ),
        "4",
    ),
    _server("A bad token", Error(message=MESSAGES[ErrorCode.INVALID_TOKEN], code=ErrorCode.INVALID_TOKEN), "1"),
    _server("The answer to a ping", Pong(server_time=NOW)),
)

GATEWAY = (
    Example(
        "A function failed",
        {"message": "Internal server error", "connectionId": CONNECTION, "requestId": "BFaUGGnloAMFXUQ="},
    ),
)


def of_type(kind: str) -> list[Example]:
    """Return the examples of frames of a type."""
    return [each for each in (*CLIENT, *SERVER) if each.frame["type"] == kind]
