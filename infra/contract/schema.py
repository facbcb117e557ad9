"""The JSON Schema of the frames, for documents and for clients in other languages: `docs/protocol.schema.json`."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise
from typing import Any

from pydantic import TypeAdapter

from handlers.chat.protocol.client_frames import CLIENT_FRAMES, TAG, ClientFrame, ResumePoint
from handlers.chat.protocol.frames import PROTOCOL, SERVER_FRAMES, ServerFrame, camel
from handlers.chat.records import PartKind
from infra.contract import examples

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_NAMES = {"Error": "ErrorFrame", "History": "HistoryPage"}
"""The names of definitions whose class has a name that is taken in JavaScript."""


@dataclass(frozen=True)
class _PartShape:
    """The fields of a part of one kind: those that it always has, and those that it may have."""

    description: str
    always: tuple[str, ...]
    perhaps: tuple[str, ...]


_PARTS = {
    PartKind.REASONING: _PartShape("The thoughts of the model.", ("text",), ("textOffset",)),
    PartKind.TOOL_CALL: _PartShape("A call of a tool.", ("callId", "name", "arguments", "state"), ("result",)),
    PartKind.SOURCE: _PartShape("A source of the reply.", ("url",), ("title", "text")),
    PartKind.REFUSAL: _PartShape(
        "The reason why there is no answer, or no more of it. It is also the end of the reply's text.",
        ("text",),
        ("textOffset",),
    ),
}

_PLACE = ("index", "offset")
"""The place of a part, in a list of parts."""

_COMMON: dict[str, dict[str, Any]] = {
    "requestId": {"description": "The client's own id of its frame. Every direct answer repeats it."},
    "messageId": {"description": "The id of the message."},
    "chatId": {"description": "The id of the chat."},
    "clientMessageId": {"description": "The client's own id of its message."},
    "callId": {"description": "The id of the call of a tool."},
    "title": {"description": "The title of the chat."},
    "assistant": {"description": "The id of the assistant that answers in the chat."},
    "timestamp": {"description": "The time at which the message was stored.", "format": "date-time"},
    "serverTime": {"description": "The time of the server.", "format": "date-time"},
    "reconnectBefore": {"format": "date-time"},
    "attempt": {"description": "The attempt at the reply. If it rises, drop what you have of the reply.", "minimum": 1},
    "offset": {"description": "The place in the text of the reply, in UTF-16 code units.", "minimum": 0},
    "textOffset": {"minimum": 0},
    "index": {"minimum": 0},
    "length": {"minimum": 0},
    "partCount": {"minimum": 1},
    "messages": {"description": "Messages, the oldest first."},
    "hasMore": {"description": "True if there are older messages."},
    "attachments": {"description": "The files of the message."},
}
"""What is the same wherever a field has this name. A field's own docstring goes before a description here."""

_NAME_IN_CODE = re.compile(r"`([a-z]+(?:_[a-z]+)+)`")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of all frames. It has a definition for each frame, and one for the data of each.

    `ClientFrame` and `ServerFrame` are the frames of one direction.
    """
    definitions = _data_definitions()
    _tell_parts_apart(definitions)
    for frame in CLIENT_FRAMES.values():
        definitions[frame_name(frame)] = _envelope(frame, {"anyOf": [_TAG, {"type": "null"}]}, definitions)
    for sent in SERVER_FRAMES:
        definitions[frame_name(sent)] = _envelope(sent, _TAG, definitions)
    definitions["GatewayError"] = _GATEWAY_ERROR
    definitions["ClientFrame"] = _one_of(CLIENT_FRAMES.values(), "A frame from a client.")
    definitions["ServerFrame"] = _one_of(SERVER_FRAMES, "A frame from the server.")
    return {
        "$schema": DIALECT,
        "title": "Frames of Parley's WebSocket protocol",
        "description": (
            f"The frames of version {PROTOCOL}. Both sides ignore fields that they do not know. A server of a later "
            "minor version may send frames, fields and values of enumerations that are not here: clients ignore them."
        ),
        "anyOf": [{"$ref": _ref("ClientFrame")}, {"$ref": _ref("ServerFrame")}, {"$ref": _ref("GatewayError")}],
        "$defs": dict(sorted(definitions.items())),
    }


_TAG: dict[str, Any] = {"type": "string", "pattern": f"^{TAG.pattern}$"}

_GATEWAY_ERROR: dict[str, Any] = {
    "title": "GatewayError",
    "description": "An error of API Gateway itself. It has no `type`, and does not say which frame it is about.",
    "type": "object",
    "properties": {
        "message": {"description": "What has gone wrong.", "type": "string"},
        "connectionId": {"description": "The id of the connection.", "type": "string"},
        "requestId": {"description": "The gateway's own id of the request.", "type": "string"},
    },
    "required": ["message", "connectionId", "requestId"],
    "not": {"required": ["type"]},
    "examples": [each.frame for each in examples.GATEWAY],
}


def _data_definitions() -> dict[str, Any]:
    """Return the definitions of the data of all frames, and of what they consist of."""
    frames: tuple[Any, ...] = (*CLIENT_FRAMES.values(), *SERVER_FRAMES)
    shapes: list[tuple[Any, Any, TypeAdapter[Any]]] = [
        (frame, "validation" if issubclass(frame, ClientFrame) else "serialization", TypeAdapter(frame))
        for frame in frames
    ]
    _, schema = TypeAdapter.json_schemas(shapes, ref_template=_ref("{model}"))
    classes = {each.__name__: each for root in (ServerFrame, ClientFrame) for each in _with_subclasses(root)}
    classes[ResumePoint.__name__] = ResumePoint
    data = {frame.__name__: _data_name(frame) for frame in frames}
    return {
        data.get(name, name): _definition(data.get(name, name), definition, classes.get(name))
        for name, definition in schema["$defs"].items()
    }


def _tell_parts_apart(definitions: dict[str, Any]) -> None:
    """Put a definition for each kind of part into the place of the one for all kinds, and one for parts in a list."""
    whole = definitions.pop("PartView")
    del definitions["PartKind"]
    shapes = whole["properties"]
    kinds = []
    for kind, shape in _PARTS.items():
        name = "".join(map(str.capitalize, kind.value.split("_"))) + "Part"
        properties = {each: shapes[each] for each in (*shape.always, *shape.perhaps, "cut", *_PLACE)}
        definitions[name] = {
            "title": name,
            "description": shape.description,
            "type": "object",
            "properties": {"kind": {"const": kind.value}, **properties},
            "required": ["kind", *shape.always],
        }
        kinds.append({"$ref": _ref(name)})
    definitions["Part"] = {"title": "Part", "description": whole["description"], "oneOf": kinds}
    definitions["PlacedPart"] = {
        "title": "PlacedPart",
        "description": "A part in a list of parts.",
        "allOf": [{"$ref": _ref("Part")}],
        "properties": {each: shapes[each] for each in _PLACE},
        "required": list(_PLACE),
    }
    definitions["AssistantMessagePartData"]["properties"]["part"] = {"$ref": _ref("Part")}
    definitions["MessageView"]["properties"]["parts"]["items"] = {"$ref": _ref("PlacedPart")}


def _definition(name: str, definition: dict[str, Any], source: type[Any] | None) -> dict[str, Any]:
    """Return a definition as the wire has it. `source` is the class of a frame, or of a part of one."""
    definition = {"title": name, **{key: value for key, value in definition.items() if key != "title"}}
    if "description" in definition:
        definition["description"] = wire_text(definition["description"])
    properties: dict[str, Any] = definition.get("properties", {})
    texts = _field_texts(source) if source else {}
    # The server leaves a field out, or sends its value: never null, and a default is sent too.
    sent = fields(source) if source is not None and is_dataclass(source) else ()
    left_out = {camel(each.name) for each in sent if each.metadata}
    for key, value in properties.items():
        field = {name: each for name, each in value.items() if name not in ("title", "default")}
        properties[key] = _described(key, _not_null(field) if key in left_out else field, texts.get(key))
    if sent:
        definition["required"] = [key for key in properties if key not in left_out]
    return definition


def _described(key: str, field: dict[str, Any], text: str | None) -> dict[str, Any]:
    """Return a field with its description, and with what is the same of all fields of this name."""
    if "$ref" in field:
        return field  # what it refers to describes itself; not all tools take words beside a reference
    common = {name: each for name, each in _COMMON.get(key, {}).items() if name == "description" or "type" in field}
    return {**common, **field, **({"description": wire_text(text)} if text else {})}


def _field_texts(source: type[Any]) -> dict[str, str]:
    """Return the docstrings of the fields of a class, by their names on the wire."""
    [definition] = ast.parse(inspect.getsource(source)).body
    found = {}
    for field, text in pairwise(getattr(definition, "body", ())):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as written)):
                found[camel(name)] = written
    return found


def _not_null(field: dict[str, Any]) -> dict[str, Any]:
    others = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
    return {**{key: value for key, value in field.items() if key != "anyOf"}, **others[0]} if others else field


def _envelope(frame: type[Any], request_id: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definition of a whole frame."""
    data: dict[str, Any] = {"$ref": _ref(_data_name(frame))}
    optional = issubclass(frame, ClientFrame) and not definitions[_data_name(frame)].get("required")
    return {
        "title": frame_name(frame),
        "description": wire_text(frame.__doc__ or ""),
        "type": "object",
        "properties": {
            "type": {"const": frame.type},
            "requestId": _COMMON["requestId"] | request_id,
            "data": {"anyOf": [data, {"type": "null"}]} if optional else data,
        },
        "required": ["type"] if optional else ["type", "data"],
        "examples": [each.frame for each in examples.of_type(frame.type)],
    }


def _one_of(frames: Any, description: str) -> dict[str, Any]:
    return {"description": description, "oneOf": [{"$ref": _ref(frame_name(frame))} for frame in frames]}


def frame_name(frame: type) -> str:
    """Return the name of a frame's definition."""
    return _NAMES.get(frame.__name__, frame.__name__)


def _data_name(frame: type) -> str:
    return f"{frame.__name__}Data"


def _ref(name: str) -> str:
    return f"#/$defs/{name}"


def _with_subclasses(root: type[Any]) -> Iterator[type[Any]]:
    for each in root.__subclasses__():
        yield each
        yield from _with_subclasses(each)


def wire_text(text: str) -> str:
    """Return a docstring as a text about the wire, where fields have other names and None is null."""
    lines = [line.strip() for line in text.strip().splitlines()]
    paragraphs = " ".join(line or "\n\n" for line in lines).replace(" \n\n ", "\n\n")
    named: Callable[[re.Match[str]], str] = lambda name: f"`{camel(name[1])}`"  # noqa: E731
    return re.sub(r"\bNone\b", "null", _NAME_IN_CODE.sub(named, paragraphs))
