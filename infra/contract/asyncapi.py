"""The AsyncAPI document of the WebSocket API: `docs/asyncapi.json`, served as `/asyncapi.json`.

In AsyncAPI 3 an application describes itself: `receive` is what the server receives, from clients.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from handlers.chat.protocol import client_frames as client
from handlers.chat.protocol import frames as server
from handlers.chat.protocol.client_frames import CLIENT_FRAMES, ClientFrame
from handlers.chat.protocol.frames import PROTOCOL, SERVER_FRAMES, ServerFrame
from infra.contract import examples
from infra.contract.schema import frame_name, json_schema, wire_text

_SCHEMAS, _MESSAGES = "#/components/schemas/", "#/components/messages/"
_CHANNEL = "#/channels/connection"
_GATEWAY_ERROR = "gateway_error"
"""The name of the message of API Gateway, whose frame has no type."""

_REPLY: tuple[type[ServerFrame], ...] = (
    server.AssistantMessageStart,
    server.AssistantMessageToken,
    server.AssistantMessagePart,
    server.AssistantMessageComplete,
)
"""The frames of a reply, in their order."""

_ANSWERS: dict[type[ClientFrame], tuple[type[ServerFrame], ...]] = {
    client.JoinChat: (server.Authenticated, server.ChatJoined, *_REPLY),
    client.CreateChat: (server.ChatCreated,),
    client.SendMessage: (server.UserMessage, *_REPLY),
    client.Cancel: (server.AssistantMessageComplete,),
    client.Approve: (server.CallAnswered,),
    client.Regenerate: _REPLY,
    client.Edit: (server.UserMessage, *_REPLY),
    client.Select: (server.BranchSelected,),
    client.LoadHistory: (server.History,),
    client.LeaveChat: (server.ChatLeft,),
    client.Ping: (server.Pong,),
}
"""The frames that may answer a frame, besides `error`."""

_PUSHED: dict[str, tuple[str, tuple[type[ServerFrame], ...]]] = {
    "greet": ("Sent once the connection is open.", (server.Connected,)),
    "stream": ("Sent to every connection in the chat while a reply is made.", _REPLY),
    "share": (
        "Sent to the other connections in the chat, after a frame of one of them.",
        (server.UserMessage, server.CallAnswered, server.BranchSelected),
    ),
    "announce": (
        "Sent to every connection of the user, in whatever chat it is.",
        (server.ChatUpdated, server.ChatDeleted, server.Notice),
    ),
}
"""The operations in which the server sends without being asked."""


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI document."""
    schema = json_schema()
    every: tuple[type[ClientFrame] | type[ServerFrame], ...] = (*CLIENT_FRAMES.values(), *SERVER_FRAMES)
    names = [*(frame.type for frame in every), _GATEWAY_ERROR]
    return {
        "asyncapi": "3.1.0",
        "info": _info(schema["description"]),
        "defaultContentType": "application/json",
        "servers": _SERVERS,
        "channels": {"connection": _CONNECTION | {"messages": {name: _ref(_MESSAGES, name) for name in names}}},
        "operations": {**_receiving(), **_sending()},
        "components": {
            "messages": {
                **{frame.type: _message(frame) for frame in every},
                _GATEWAY_ERROR: _gateway_error(schema["$defs"]["GatewayError"]["description"]),
            },
            "schemas": _moved(schema["$defs"]),
            "correlationIds": {
                "requestId": {
                    "description": "The client's own id of its frame, which every direct answer repeats.",
                    "location": "$message.payload#/requestId",
                }
            },
            "securitySchemes": _SECURITY,
        },
    }


def _info(description: str) -> dict[str, Any]:
    return {
        "title": "Parley: the WebSocket API",
        "version": PROTOCOL,
        "description": (
            f"{description}\n\n"
            "A frame is a JSON text of at most 32 KB. A client connects, authenticates (with a token at the handshake "
            "or in `join_chat`), joins a chat or creates one, and sends messages. The reply comes in pieces. The "
            "promises, the rule for pieces, the close codes and how this version may change are in docs/protocol.md."
        ),
        "license": {
            "name": "Apache-2.0",
            "url": "https://www.apache.org/licenses/LICENSE-2.0",
        },
        "tags": [{"name": "chat"}],
    }


_TOKEN = "A JSON Web Token with `exp`, and with the user in `userId` or `sub`."  # noqa: S105

_SECURITY: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": f"{_TOKEN} Not in browsers."},
    "query": {"type": "httpApiKey", "in": "query", "name": "token", "description": _TOKEN},
}

_SECURED = [{"$ref": f"#/components/securitySchemes/{name}"} for name in _SECURITY]

_SERVERS: dict[str, Any] = {
    "apiGateway": {
        "host": "{apiId}.execute-api.{region}.amazonaws.com",
        "pathname": "/{stage}",
        "protocol": "wss",
        "protocolVersion": "13",
        "title": "A deployment on AWS",
        "description": "`WebSocketUrl` in the outputs of the stack.",
        "variables": {
            "apiId": {"description": "The id of the WebSocket API."},
            "region": {"description": "The AWS Region.", "default": "eu-central-1"},
            "stage": {"description": "The stage of the API.", "default": "live"},
        },
        "security": _SECURED,
    },
    "emulator": {
        "host": "127.0.0.1:{port}",
        "pathname": "/ws/chat",
        "protocol": "ws",
        "protocolVersion": "13",
        "title": "The emulator on this machine",
        "variables": {"port": {"default": "8000", "description": "The port that `make run` has printed."}},
        "security": _SECURED,
    },
}

_CONNECTION: dict[str, Any] = {
    "address": None,
    "title": "A connection",
    "description": (
        "One WebSocket connection, which all frames go through. It is in one chat at a time. Without a token at the "
        "handshake it is anonymous until `join_chat`. Offer no subprotocols: the server chooses none. API Gateway "
        "closes it after 2 hours, or after 10 minutes without data."
    ),
    "servers": [{"$ref": f"#/servers/{name}"} for name in _SERVERS],
    "bindings": {
        "ws": {
            "method": "GET",
            "query": {"type": "object", "properties": {"token": {"type": "string", "description": _TOKEN}}},
            "headers": {
                "type": "object",
                "properties": {
                    "Authorization": {
                        "type": "string",
                        "description": "`Bearer` and a token. Browsers cannot send it.",
                    },
                    "Origin": {"type": "string", "description": "The page's origin. The operator may allow some only."},
                },
            },
            "bindingVersion": "0.1.0",
        }
    },
}


def _receiving() -> dict[str, Any]:
    """Return an operation for each frame of a client, with the frames that answer it."""
    return {
        f"receive{frame.__name__}": {
            "action": "receive",
            "channel": {"$ref": _CHANNEL},
            "title": frame.type,
            "summary": _summary(frame),
            "messages": _in_channel([frame]),
            "reply": {"channel": {"$ref": _CHANNEL}, "messages": _in_channel([*_ANSWERS[frame], server.Error])},
        }
        for frame in CLIENT_FRAMES.values()
    }


def _sending() -> dict[str, Any]:
    """Return the operations in which the server sends without being asked."""
    operations = {
        name: {
            "action": "send",
            "channel": {"$ref": _CHANNEL},
            "summary": summary,
            "messages": _in_channel(frames),
        }
        for name, (summary, frames) in _PUSHED.items()
    }
    gateway = {
        "action": "send",
        "channel": {"$ref": _CHANNEL},
        "summary": "Sent by API Gateway if a function failed or was throttled, or if a frame is over a quota.",
        "messages": [_ref(f"{_CHANNEL}/messages/", _GATEWAY_ERROR)],
    }
    return {**operations, "gatewayError": gateway}


def _message(frame: type[ClientFrame] | type[ServerFrame]) -> dict[str, Any]:
    return {
        "name": frame.type,
        "title": frame_name(frame),
        "summary": _summary(frame),
        "correlationId": {"$ref": "#/components/correlationIds/requestId"},
        "payload": _ref(_SCHEMAS, frame_name(frame)),
        "examples": _examples(examples.of_type(frame.type)),
    }


def _gateway_error(summary: str) -> dict[str, Any]:
    return {
        "name": _GATEWAY_ERROR,
        "title": "GatewayError",
        "summary": summary,
        "payload": _ref(_SCHEMAS, "GatewayError"),
        "examples": _examples(examples.GATEWAY),
    }


def _examples(found: Iterable[examples.Example]) -> list[dict[str, Any]]:
    return [{"summary": each.summary, "payload": each.frame} for each in found]


def _in_channel(frames: Iterable[type[ClientFrame] | type[ServerFrame]]) -> list[dict[str, str]]:
    return [_ref(f"{_CHANNEL}/messages/", frame.type) for frame in frames]


def _summary(frame: type[ClientFrame] | type[ServerFrame]) -> str:
    return wire_text(frame.__doc__ or "")


def _ref(where: str, name: str) -> dict[str, str]:
    return {"$ref": f"{where}{name}"}


def _moved(definitions: Any) -> Any:
    """Return definitions whose references lead to where AsyncAPI has its schemas."""
    if isinstance(definitions, dict):
        return {
            key: re.sub(r"^#/\$defs/", _SCHEMAS, value) if key == "$ref" else _moved(value)
            for key, value in definitions.items()
        }
    return [_moved(each) for each in definitions] if isinstance(definitions, list) else definitions
