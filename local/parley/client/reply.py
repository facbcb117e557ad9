"""Text of one reply, assembled by the protocol's rule for offsets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReplyUpdate:
    """New text in a piece of a reply."""

    text: str = ""
    restarted: bool = False
    """True if the piece belongs to a newer attempt: all text before it is void."""
    missing: bool = False
    """True if the piece starts after the end of the known text: the client must join again with `resume`."""


class Reply:
    """Text of one reply as far as it has arrived. `length` and offsets count UTF-16 code units."""

    def __init__(self, message_id: str, attempt: int) -> None:
        self.message_id = message_id
        self.attempt = attempt
        self._units = b""

    @property
    def length(self) -> int:
        """Length of the known text."""
        return len(self._units) // 2

    @property
    def text(self) -> str:
        """The known text."""
        return _text(self._units)

    def take(self, attempt: int, offset: int, piece: str) -> ReplyUpdate:
        """Add a piece that starts at `offset`. A piece of an older attempt is ignored."""
        if attempt < self.attempt:
            return ReplyUpdate()
        restarted = attempt > self.attempt
        if restarted:
            self.attempt = attempt
            self._units = b""
        if offset > self.length:
            return ReplyUpdate(restarted=restarted, missing=True)
        # Pieces may overlap: after a resume the server may send known text again. Only the text beyond it is new.
        fresh = piece.encode("utf-16-le", "surrogatepass")[2 * (self.length - offset) :]
        self._units += fresh
        return ReplyUpdate(_text(fresh), restarted)


def _text(units: bytes) -> str:
    return units.decode("utf-16-le", "replace")
