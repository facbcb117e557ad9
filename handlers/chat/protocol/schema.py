"""The JSON Schema of the protocol, for documents and for clients in other languages. No function loads it."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from handlers.chat.protocol.client_frames import CLIENT_FRAMES
from handlers.chat.protocol.frames import SERVER_FRAMES


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the data of all frames: a definition for each, named after its class."""
    shapes: list[tuple[str, Any, TypeAdapter[Any]]] = [
        (shape.__name__, "serialization", TypeAdapter(shape)) for shape in (*CLIENT_FRAMES.values(), *SERVER_FRAMES)
    ]
    _, schema = TypeAdapter.json_schemas(shapes, title="Parley")
    return schema
