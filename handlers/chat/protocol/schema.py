"""The JSON Schema of the protocol's frames, for documents and for clients in other languages. No function loads it.

`docs/protocol.schema.json` is this schema, written by `make contract`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import TypeAdapter

from handlers.chat.protocol.client_frames import CLIENT_FRAMES, TAG, ClientFrame
from handlers.chat.protocol.frames import PROTOCOL, SERVER_FRAMES, ServerFrame, camel
from handlers.chat.records import PartKind

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_NAMES = {"Error": "ErrorFrame", "History": "HistoryPage"}
"""The names of definitions whose class has a name that is taken in JavaScript."""

_PART_FIELDS: dict[PartKind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    PartKind.REASONING: (("text",), ("textOffset",)),
    PartKind.TOOL_CALL: (("callId", "name", "arguments", "state"), ("result",)),
    PartKind.SOURCE: (("url",), ("title", "text")),
    PartKind.REFUSAL: (("text",), ("textOffset",)),
}
"""The fields of a part of each kind: those that it always has, and those that it may have. `cut` is of all of them."""

_PLACE = ("index", "offset")
"""The place of a part, in a list of parts."""

_NAME_IN_CODE = re.compile(r"`([a-z]+(?:_[a-z]+)+)`")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of all frames. It has a definition for each frame, and one for the data of each.

    `ClientFrame` and `ServerFrame` are the frames of one direction.
    """
    definitions = _data_definitions()
    _tell_parts_apart(definitions)
    for frame in CLIENT_FRAMES.values():
        definitions[_name(frame)] = _envelope(frame, {"anyOf": [_tag(), {"type": "null"}]}, definitions)
    for sent in SERVER_FRAMES:
        definitions[_name(sent)] = _envelope(sent, _tag(), definitions)
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


_GATEWAY_ERROR: dict[str, Any] = {
    "title": "GatewayError",
    "description": "An error of API Gateway itself. It has no `type`, and `requestId` is the gateway's own.",
    "type": "object",
    "properties": {
        "message": {"type": "string"},
        "connectionId": {"type": "string"},
        "requestId": {"type": "string"},
    },
    "required": ["message", "connectionId", "requestId"],
    "not": {"required": ["type"]},
}


def _data_definitions() -> dict[str, Any]:
    """Return the definitions of the data of all frames, and of what they consist of."""
    frames: tuple[Any, ...] = (*CLIENT_FRAMES.values(), *SERVER_FRAMES)
    shapes: list[tuple[Any, Any, TypeAdapter[Any]]] = [
        (frame, "validation" if issubclass(frame, ClientFrame) else "serialization", TypeAdapter(frame))
        for frame in frames
    ]
    _, schema = TypeAdapter.json_schemas(shapes, ref_template=_ref("{model}"))
    classes = {each.__name__: each for each in _with_subclasses(ServerFrame)}
    data = {frame.__name__: _data_name(frame) for frame in frames}
    return {
        data.get(name, name): _definition(data.get(name, name), definition, classes.get(name))
        for name, definition in schema["$defs"].items()
    }


def _tell_parts_apart(definitions: dict[str, Any]) -> None:
    """Put a definition for each kind of part into the place of the one for all kinds, and one for parts in a list."""
    whole = definitions.pop("PartView")
    shapes = whole["properties"]
    kinds = []
    for kind, (always, perhaps) in _PART_FIELDS.items():
        name = "".join(map(str.capitalize, kind.value.split("_"))) + "Part"
        properties = {each: shapes[each] for each in (*always, *perhaps, "cut", *_PLACE)}
        definitions[name] = {
            "title": name,
            "type": "object",
            "properties": {"kind": {"const": kind.value}, **properties},
            "required": ["kind", *always],
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


def _definition(name: str, definition: dict[str, Any], sent: type | None) -> dict[str, Any]:
    """Return a definition as the wire has it. `sent` is the class of what only the server sends."""
    definition = {"title": name, **{key: value for key, value in definition.items() if key != "title"}}
    if "description" in definition:
        definition["description"] = wire_text(definition["description"])
    for field in definition.get("properties", {}).values():
        for key in ("title", "default") if sent else ("title",):
            field.pop(key, None)
        if field.get("default", ...) is None:
            del field["default"]
    if sent is not None and is_dataclass(sent):
        # The server leaves a field out, or sends its value: a default is sent too.
        left_out = {camel(each.name) for each in fields(sent) if each.metadata}
        definition["properties"] = {
            key: _not_null(value) if key in left_out else value for key, value in definition["properties"].items()
        }
        definition["required"] = [key for key in definition["properties"] if key not in left_out]
    return definition


def _not_null(field: dict[str, Any]) -> dict[str, Any]:
    others = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
    return {**{key: value for key, value in field.items() if key != "anyOf"}, **others[0]} if others else field


def _envelope(frame: type[Any], request_id: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definition of a whole frame."""
    data: dict[str, Any] = {"$ref": _ref(_data_name(frame))}
    optional = issubclass(frame, ClientFrame) and not definitions[_data_name(frame)].get("required")
    return {
        "title": _name(frame),
        "description": wire_text(frame.__doc__ or ""),
        "type": "object",
        "properties": {
            "type": {"const": frame.type},
            "requestId": request_id,
            "data": {"anyOf": [data, {"type": "null"}]} if optional else data,
        },
        "required": ["type"] if optional else ["type", "data"],
    }


def _one_of(frames: Any, description: str) -> dict[str, Any]:
    return {"description": description, "oneOf": [{"$ref": _ref(_name(frame))} for frame in frames]}


def _tag() -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{TAG.pattern}$"}


def _name(frame: type) -> str:
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
