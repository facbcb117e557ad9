"""A reply as far as it has arrived: the rule for pieces, attempts and parts. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from parley.client.frames import Frame

_NEEDED = {"reasoning": ("text",), "refusal": ("text",), "tool_call": ("name", "state"), "source": ("url",)}
_IN_PIECES = ("reasoning", "refusal")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a reply beside its text. Fields that its `kind` does not have are None.

    `kind` is "reasoning", "tool_call", "source", "refusal", or one that this client does not know. `offset` is the
    part's place in the text of the reply, in UTF-16 code units.
    """

    index: int
    kind: str
    offset: int = 0
    text: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    state: str | None = None
    result: str | None = None
    url: str | None = None
    title: str | None = None
    cut: bool = False
    """True if one of the texts is only its beginning."""

    @classmethod
    def parse(cls, fields: Mapping[str, Any], index: int, offset: int = 0) -> Part:
        """Parse the fields of a part. Raises FrameError if a known kind lacks a field."""
        frame = Frame("part", fields)
        kind = frame.text("kind")
        for needed in _NEEDED.get(kind, ()):
            frame.text(needed)
        text, call_id, url, title = (frame.optional(name) for name in ("text", "callId", "url", "title"))
        name, arguments, state, result = (frame.optional(name) for name in ("name", "arguments", "state", "result"))
        cut = fields.get("cut") is True
        return cls(index, kind, offset, text, call_id, name, arguments, state, result, url, title, cut)


class Pieces:
    """A text whose pieces say where they begin. Lengths and offsets count UTF-16 code units."""

    def __init__(self) -> None:
        self._units = b""

    @property
    def length(self) -> int:
        """Length of the known text."""
        return len(self._units) // 2

    @property
    def text(self) -> str:
        """The known text."""
        return _text(self._units)

    def take(self, offset: int, piece: str) -> str | None:
        """Add a piece and return what is new of it. None if it begins after the end of the known text."""
        if offset > self.length:
            return None
        # Pieces may overlap: after a resume the server may send known text again. Only the text beyond it is new.
        fresh = _units(piece)[2 * (self.length - offset) :]
        self._units += fresh
        return _text(fresh)


class Parts:
    """Parts of one attempt of a reply. The newest frame of an index counts."""

    def __init__(self) -> None:
        self._parts: dict[int, Part] = {}
        self._texts: dict[int, Pieces] = {}
        self._waiting: dict[str, None] = {}
        self._answered: set[str] = set()

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def newest(self) -> tuple[Part, ...]:
        """The newest state of each part, in the order of their indexes."""
        return tuple(self._parts[index] for index in sorted(self._parts))

    @property
    def waiting(self) -> list[str]:
        """Ids of the calls that wait for the user's approval, in order."""
        return list(self._waiting)

    def answer(self, call_id: str) -> bool:
        """Note that the user has answered for a call. Return True if it was waiting here."""
        self._answered.add(call_id)
        was_waiting = call_id in self._waiting
        self._waiting.pop(call_id, None)
        return was_waiting

    def take(self, frame: Frame) -> tuple[Part | None, bool]:
        """Take a frame with a part. Return the part if it is new, and whether a piece of its text is missing."""
        index, fields = frame.number("index"), frame.part().data
        part = Part.parse(fields, index, frame.number("offset"))
        if part.kind in _IN_PIECES:
            pieces = self._texts.setdefault(index, Pieces())
            at = fields.get("textOffset")
            if pieces.take(at if isinstance(at, int) else 0, part.text or "") is None:
                return None, True
            part = replace(part, text=pieces.text)
        self._note_call(part)
        known, self._parts[index] = self._parts.get(index), part
        return (part if part != known else None), False

    def _note_call(self, part: Part) -> None:
        if part.call_id is None:
            return
        if part.state == "waiting" and part.call_id not in self._answered:
            self._waiting[part.call_id] = None
        else:
            self._waiting.pop(part.call_id, None)


@dataclass(frozen=True, slots=True)
class ReplyUpdate:
    """New text in a piece of a reply."""

    text: str = ""
    restarted: bool = False
    """True if the piece belongs to a newer attempt: all text before it is void."""
    missing: bool = False
    """True if the piece starts after the end of the known text: the client must join again with `resume`."""


class Reply:
    """One reply as far as it has arrived. `answers` is the id of the user's message, None if it is not known."""

    def __init__(self, message_id: str, attempt: int, answers: str | None = None) -> None:
        self.message_id = message_id
        self.attempt = attempt
        self.answers = answers
        self.parts = Parts()
        self._pieces = Pieces()

    @property
    def length(self) -> int:
        """Length of the known text in UTF-16 code units."""
        return self._pieces.length

    @property
    def text(self) -> str:
        """The known text."""
        return self._pieces.text

    def replace(self, attempt: int, text: str) -> None:
        """Take the whole text in the place of what was known. Parts of an earlier attempt are void with it."""
        if attempt > self.attempt:
            self.attempt, self.parts = attempt, Parts()
        self._pieces = Pieces()
        self._pieces.take(0, text)

    def take(self, attempt: int, offset: int, piece: str) -> ReplyUpdate:
        """Add a piece that starts at `offset`. A piece of an older attempt is ignored."""
        if attempt < self.attempt:
            return ReplyUpdate()
        restarted = attempt > self.attempt
        if restarted:
            self.attempt, self.parts, self._pieces = attempt, Parts(), Pieces()
        fresh = self._pieces.take(offset, piece)
        if fresh is None:
            return ReplyUpdate(restarted=restarted, missing=True)
        return ReplyUpdate(fresh, restarted)


def utf16_length(text: str) -> int:
    """Return the length of a text as the protocol counts it: in UTF-16 code units."""
    return len(_units(text)) // 2


def _units(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def _text(units: bytes) -> str:
    return units.decode("utf-16-le", "replace")
