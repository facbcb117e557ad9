"""The text of one reply on a client, put together by the protocol's rule for pieces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Reading:
    """One reply on one device. Texts here have no characters beyond U+FFFF, so lengths are offsets."""

    attempt: int = 0
    text: str = ""
    completes: list[dict[str, Any]] = field(default_factory=list)
    late: list[dict[str, Any]] = field(default_factory=list)
    """Frames that came after the end. Those of a lower attempt do not count: clients ignore them."""
    missing: bool = False
    """A piece began after the end of what is here: the client has to join again."""

    def take(self, data: dict[str, Any], piece: str) -> None:
        """Take the data of a start or token frame."""
        if self.completes and data["attempt"] >= self.completes[0]["attempt"]:
            self.late.append(data)
        if self.completes or data["attempt"] < self.attempt:
            return
        if data["attempt"] > self.attempt:
            self.attempt, self.text = data["attempt"], ""
        self.missing = data["offset"] > len(self.text)
        if not self.missing:
            self.text += piece[len(self.text) - data["offset"] :]

    def end(self, data: dict[str, Any]) -> None:
        """Take the data of a complete frame."""
        self.completes.append(data)

    def resume(self, message_id: str) -> dict[str, Any]:
        """Return what `join_chat` says to go on from here."""
        return {"messageId": message_id, "offset": len(self.text), "attempt": max(1, self.attempt)}
