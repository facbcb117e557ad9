"""What the client has of one reply, by the protocol's rule for tokens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReplyUpdate:
    """What was new in a piece of a reply."""

    text: str = ""
    restarted: bool = False
    """The piece belongs to a newer attempt: everything before it is void."""
    missing: bool = False
    """The piece starts after the end of what is here: the client has to join again with `resume`."""


class Reply:
    """The text of one reply as far as it has come. `length` and offsets count UTF-16 code units."""

    def __init__(self, message_id: str, attempt: int) -> None:
        self.message_id = message_id
        self.attempt = attempt
        self._units = b""

    @property
    def length(self) -> int:
        """How much is here."""
        return len(self._units) // 2

    @property
    def text(self) -> str:
        """What is here."""
        return _text(self._units)

    def take(self, attempt: int, offset: int, piece: str) -> ReplyUpdate:
        """Take a piece that starts at `offset`. Nothing of an older attempt is new."""
        if attempt < self.attempt:
            return ReplyUpdate()
        restarted = attempt > self.attempt
        if restarted:
            self.attempt = attempt
            self._units = b""
        if offset > self.length:
            return ReplyUpdate(restarted=restarted, missing=True)
        fresh = piece.encode("utf-16-le", "surrogatepass")[2 * (self.length - offset) :]
        self._units += fresh
        return ReplyUpdate(_text(fresh), restarted)


def _text(units: bytes) -> str:
    return units.decode("utf-16-le", "replace")
