"""Frames of the protocol, as the client reads and writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

GATEWAY_ERROR = ""
"""The kind of a frame that the gateway itself sends, if a function fails: it has a `message` and no `type`."""


class FrameError(Exception):
    """The server sent something that is not a frame of the protocol."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. The accessors raise FrameError if a field is missing or has another type."""

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)
    request_id: str | None = None

    @classmethod
    def parse(cls, raw: str | bytes) -> Self:
        """Parse a frame. Raises FrameError if the text is not a frame."""
        try:
            content = json.loads(raw)
        except (ValueError, RecursionError):
            raise FrameError("not JSON") from None
        if not isinstance(content, dict):
            raise FrameError("no object")
        if "type" not in content and isinstance(content.get("message"), str):
            # Its `requestId` is the gateway's own, and names no request of a client.
            return cls(GATEWAY_ERROR, {"message": content["message"]})
        if not content.get("type") or not isinstance(content["type"], str):
            raise FrameError("no type")
        data = content.get("data")
        return cls(content["type"], data if isinstance(data, dict) else {}, content.get("requestId"))

    def dump(self) -> str:
        """Return the frame as text for the wire."""
        content: dict[str, Any] = {"type": self.kind, "data": self.data}
        return json.dumps(content | ({"requestId": self.request_id} if self.request_id else {}))

    def text(self, name: str) -> str:
        """Return a field that must be a string."""
        value = self.data.get(name)
        if not isinstance(value, str):
            raise FrameError(f"{self.kind} without {name}")
        return value

    def optional(self, name: str) -> str | None:
        """Return a string field, or None if there is none."""
        value = self.data.get(name)
        return value if isinstance(value, str) else None

    def number(self, name: str) -> int:
        """Return a field that must be a whole number."""
        value = self.data.get(name)
        if not isinstance(value, int):
            raise FrameError(f"{self.kind} without {name}")
        return value

    def part(self) -> Frame:
        """Return the part of a reply in a frame."""
        value = self.data.get("part")
        if not isinstance(value, dict):
            raise FrameError(f"{self.kind} without part")
        return Frame(self.kind, value)

    def assistants(self) -> list[ListedAssistant]:
        """Return the assistants of a greeting. Servers of earlier versions list none."""
        frames = self.frames("assistants") if isinstance(self.data.get("assistants"), list) else []
        return [ListedAssistant(item.text("id"), item.text("title"), item.texts("starters")) for item in frames]

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the strings of a list."""
        value = self.data.get(name)
        return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()

    def frames(self, name: str) -> list[Frame]:
        """Return the objects of a field that must be a list."""
        value = self.data.get(name)
        if not isinstance(value, list):
            raise FrameError(f"{self.kind} without {name}")
        return [Frame(self.kind, item) for item in value if isinstance(item, dict)]


@dataclass(frozen=True, slots=True)
class ListedAssistant:
    """An assistant that a new chat may name, with questions to begin with."""

    id: str
    title: str
    starters: tuple[str, ...] = ()
