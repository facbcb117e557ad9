"""One reply on a client, its text and its parts put together by the protocol's rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def appended(text: str, offset: int, piece: str) -> str | None:
    """Return a text with a piece that begins at an offset in UTF-16 code units, None if something is missing."""
    units = text.encode("utf-16-le")
    have = len(units) // 2
    return None if offset > have else text + piece.encode("utf-16-le")[2 * (have - offset) :].decode("utf-16-le")


@dataclass
class Reading:
    """One reply on one device. Lengths count UTF-16 code units."""

    attempt: int = 0
    text: str = ""
    parts: dict[int, dict[str, Any]] = field(default_factory=dict)
    """The parts by their index, each with its `offset`, as history would show it."""
    completes: list[dict[str, Any]] = field(default_factory=list)
    late: list[dict[str, Any]] = field(default_factory=list)
    """Frames that came after the end. Those of a lower attempt do not count: clients ignore them."""
    missing: bool = False
    """A piece began after the end of what is here: the client has to join again."""

    @property
    def length(self) -> int:
        """The length of the text."""
        return len(self.text.encode("utf-16-le")) // 2

    def take_frame(self, frame: dict[str, Any]) -> None:
        """Take a frame of the reply, of any type."""
        data = frame["data"]
        match frame["type"].removeprefix("assistant_message_"):
            case "part":
                self.take_part(data)
            case "complete":
                self.end(data)
            case "start":
                self.take(data, data["content"])
            case "token":
                self.take(data, data["token"])

    def take(self, data: dict[str, Any], piece: str) -> None:
        """Take the data of a start or token frame."""
        if self._counts(data):
            text = appended(self.text, data["offset"], piece)
            self.missing = text is None
            self.text = self.text if text is None else text

    def take_part(self, data: dict[str, Any]) -> None:
        """Take the data of a frame with a part."""
        if not self._counts(data):
            return
        part = dict(data["part"])
        if "textOffset" in part:
            before = self.parts.get(data["index"], {}).get("text", "")
            text = appended(before, part.pop("textOffset"), part["text"])
            self.missing = text is None or self.missing
            part["text"] = before if text is None else text
            if self.parts.get(data["index"], {}).get("cut"):
                part["cut"] = True
        self.parts[data["index"]] = {"offset": data["offset"], **part}

    def show(self, message: dict[str, Any]) -> None:
        """Take the whole reply from a page of history. Parts that it has not are left as they are."""
        self.text = message["content"]
        for part in message.get("parts", ()):
            self.parts[part["index"]] = {name: value for name, value in part.items() if name != "index"}

    def end(self, data: dict[str, Any]) -> None:
        """Take the data of a complete frame."""
        self.completes.append(data)

    def resume(self, message_id: str) -> dict[str, Any]:
        """Return what `join_chat` says to go on from here."""
        return {"messageId": message_id, "offset": self.length, "attempt": max(1, self.attempt)}

    def _counts(self, data: dict[str, Any]) -> bool:
        """Return True if a frame is of the reply as it is made now. A new attempt makes void what there is."""
        if self.completes and data["attempt"] >= self.completes[0]["attempt"]:
            self.late.append(data)
        if self.completes or data["attempt"] < self.attempt:
            return False
        if data["attempt"] > self.attempt:
            self.attempt, self.text = data["attempt"], ""
            self.parts.clear()
        return True
