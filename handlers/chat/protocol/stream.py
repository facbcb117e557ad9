"""The stream of a reply: the frame that each connection needs next. Pure: no I/O, no threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import SEEK_END, StringIO
from typing import NamedTuple

from handlers.chat.protocol import frames, views
from handlers.chat.protocol.frames import (
    AssistantMessageComplete,
    AssistantMessagePart,
    AssistantMessageStart,
    AssistantMessageToken,
    ServerFrame,
)
from handlers.chat.protocol.parts import MAX_TEXT_CHARS, TEXTS, as_view, bounded, whole_characters
from handlers.chat.records import Message, Part, PartKind, Resume

MAX_PIECE_CHARS = 5_000
"""Characters in one frame. At 4 bytes of UTF-8 each, or 6 for those that JSON escapes, a frame stays below 32 KB."""

_SECOND_HALVES = frozenset(bytes([byte]) for byte in range(0xDC, 0xE0))
"""The high bytes of the second half of a character that takes two code units of UTF-16."""

MAX_REASONING_PARTS = 256
"""Parts of a reply from which on no new reasoning begins. A model may change to and fro between text and reasoning."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of one connection in a reply: it has `characters` of the text, which are `offset` UTF-16 code units.

    A `late` cursor is that of a connection that came while the reply was running: its start frame carries text from
    the offset on. `frames` counts the frames that the connection got. It has the first `events` of the parts' events,
    and `read` characters of the text of the next one, which are `read_offset` UTF-16 code units.
    """

    late: bool = False
    started: bool = False
    characters: int = 0
    offset: int = 0
    ended: bool = False
    frames: int = 0
    events: int = 0
    read: int = 0
    read_offset: int = 0


class _Text:
    """A text that grows in place. `characters` is its length, and `offset` its length in UTF-16 code units."""

    def __init__(self, text: str = "") -> None:
        # A text that is joined with each piece would be copied each time: the work would grow with its square.
        self._buffer = StringIO()
        self.characters = self.offset = 0
        self.add(text)

    def add(self, text: str) -> None:
        self._buffer.seek(0, SEEK_END)
        self._buffer.write(text)
        self.characters += len(text)
        self.offset += frames.utf16_length(text)

    def piece(self, characters: int, most: int = MAX_PIECE_CHARS) -> str:
        """Return the text of one frame, from a position on."""
        self._buffer.seek(characters)
        return self._buffer.read(min(most, MAX_PIECE_CHARS))

    def whole(self) -> str:
        """Return the text. It is put together for each call, so the work for it is that of the whole text."""
        return self._buffer.getvalue()


class _Event(NamedTuple):
    """A part, or a new state of one, that came when the reply's text had so many characters. `text` grows."""

    characters: int
    part: Part
    text: _Text | None

    def now(self) -> Part:
        """Return the part as it is by now."""
        return self.part if self.text is None else replace(self.part, text=self.text.whole())


class Script:
    """Everything of a reply that can be sent by now: its start, text and parts, and its end once it has one.

    A connection gets a part after the text that was there before the part. Of several states of a part that it has not
    got yet, it gets the newest.
    """

    def __init__(self, start: AssistantMessageStart, text: str = "") -> None:
        self.start = start
        self.end: AssistantMessageComplete | None = None
        self._text = _Text(text)
        self._events: list[_Event] = []
        # The number of the newest event of each part, by the part's index.
        self._newest: dict[int, int] = {}

    @property
    def text(self) -> str:
        """The text so far. It is put together for each call, so the work for it is that of the whole text."""
        return self._text.whole()

    @property
    def has_text(self) -> bool:
        """True if there is text."""
        return self._text.characters > 0

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts as they are by now, in the order of their indexes."""
        return tuple(self._events[self._newest[index]].now() for index in sorted(self._newest))

    def add(self, text: str) -> None:
        """Append a piece of the text."""
        self._text.add(text)

    def show(self, part: Part) -> Part:
        """Add a part, or a new state of one, as long as it may be. Return it with its place.

        A part without an index is new: its place is the end of the text. Reasoning without text is no part.
        """
        part = bounded(part)
        if part.index is None:
            part = replace(part, index=max(self._newest, default=-1) + 1, offset=self._text.offset)
        if part.index is not None and (part.text or part.kind not in TEXTS):
            text = _Text(part.text) if part.kind in TEXTS else None
            self._newest[part.index] = len(self._events)
            self._events.append(_Event(self._text.characters, part, text))
        return part

    def reason(self, text: str, kind: PartKind = PartKind.REASONING) -> None:
        """Append a piece of reasoning or a refusal: to the one before it, or as a new part if anything came between."""
        last = self._events[-1] if self._events else None
        if last is None or last.text is None or last.part.kind is not kind or self._is_closed(last):
            if len(self._newest) < MAX_REASONING_PARTS:
                # One that is full counts as cut: no frame would tell that more came.
                self.show(Part(kind, text=text, cut=len(text) >= MAX_TEXT_CHARS))
            return
        room = MAX_TEXT_CHARS - last.text.characters
        last.text.add(whole_characters(text[:room]))
        if len(text) >= room:
            self._events[-1] = last._replace(part=replace(last.part, cut=True))

    def fill(self, text: str, parts: Iterable[Part]) -> None:
        """Add all of a stored reply, each part at its place."""
        encoded, done = text.encode("utf-16-le"), 0
        for part in parts:
            place = max(done, min(part.offset, len(encoded) // 2))
            # Never between the two halves of a character.
            place -= encoded[2 * place + 1 : 2 * place + 2] in _SECOND_HALVES
            self.add(encoded[2 * done : 2 * place].decode("utf-16-le"))
            self.show(part)
            done = place
        self.add(encoded[2 * done :].decode("utf-16-le"))

    def _is_closed(self, event: _Event) -> bool:
        """Return True if nothing can be added to the text of an event any more."""
        newer = event is not self._events[-1] or event.characters < self._text.characters
        return newer or self.end is not None

    def late(self, offset: int = 0) -> Cursor:
        """Return the cursor of a connection that has the text up to an offset in UTF-16 code units.

        An offset beyond the text, or in the middle of a character, becomes the nearest one before.
        """
        # UTF-16 has two bytes for each code unit. Cut there: `ignore` drops half of a character at the end.
        before = self.text.encode("utf-16-le")[: 2 * offset].decode("utf-16-le", "ignore")
        return Cursor(late=True, characters=len(before), offset=frames.utf16_length(before))

    def resume(self, resume: Resume | None) -> Cursor:
        """Return the cursor of a newcomer. Text of another attempt is void: then the newcomer gets all of the reply."""
        if resume is None or resume.message_id != self.start.message_id or (resume.attempt or 1) != self.start.attempt:
            return self.late()
        return self.late(resume.offset)

    def after(self, cursor: Cursor) -> tuple[ServerFrame, Cursor] | None:
        """Return the next frame for a connection, and the cursor after it. Returns None if there is none yet."""
        if not cursor.started and not cursor.late:
            # Without text, even if there is some by now: the first subscribers get all text as tokens.
            return self.start, replace(cursor, started=True, frames=cursor.frames + 1)
        if not cursor.started:
            piece = self._text.piece(cursor.characters)
            start = replace(self.start, offset=cursor.offset, content=piece)
            return start, _beyond(cursor, piece)
        cursor = self._past_old_events(cursor)
        event = self._events[cursor.events] if cursor.events < len(self._events) else None
        if event is not None and event.characters <= cursor.characters:
            # There is no text after it if it is none yet: then it is the last event, and its text still grows.
            return self._part(event, cursor)
        most = MAX_PIECE_CHARS if event is None else event.characters - cursor.characters
        if piece := self._text.piece(cursor.characters, most):
            return self._token(piece, cursor.offset), _beyond(cursor, piece)
        if self.end is not None and not cursor.ended:
            return self.end, replace(cursor, ended=True, frames=cursor.frames + 1)
        return None

    def _past_old_events(self, cursor: Cursor) -> Cursor:
        """Return the cursor without the events whose part has a newer one, or whose text the connection has."""
        for number in range(cursor.events, len(self._events)):
            event = self._events[number]
            is_old = self._newest[event.part.index or 0] != number
            read = cursor.read if number == cursor.events else 0
            if not is_old and (event.text is None or read < event.text.characters or not self._is_closed(event)):
                return cursor if number == cursor.events else replace(cursor, events=number, read=0, read_offset=0)
        if cursor.events == len(self._events):
            return cursor
        return replace(cursor, events=len(self._events), read=0, read_offset=0)

    def _part(self, event: _Event, cursor: Cursor) -> tuple[ServerFrame, Cursor] | None:
        """Return the frame of an event, and the cursor after it. Returns None if there is no more of its text yet."""
        part, then = event.part, replace(cursor, frames=cursor.frames + 1)
        if event.text is None:
            view, then = as_view(part), replace(then, events=cursor.events + 1)
        else:
            piece = event.text.piece(cursor.read)
            if not piece:
                return None
            then = replace(
                then, read=cursor.read + len(piece), read_offset=cursor.read_offset + frames.utf16_length(piece)
            )
            cut = part.cut and then.read == event.text.characters
            view = replace(as_view(replace(part, text=piece, cut=cut)), text_offset=cursor.read_offset)
        frame = AssistantMessagePart(
            message_id=self.start.message_id,
            attempt=self.start.attempt,
            index=part.index or 0,
            offset=part.offset,
            part=view,
        )
        return frame, then

    def from_here(self, cursor: Cursor) -> Iterator[ServerFrame]:
        """Yield the frames that a connection still needs for everything that there is by now."""
        while step := self.after(cursor):
            frame, cursor = step
            yield frame

    def frames_after(self, cursor: Cursor) -> int:
        """Return how many frames a connection still needs for everything that there is by now."""
        return sum(1 for _ in self.from_here(cursor))

    def _token(self, piece: str, offset: int) -> AssistantMessageToken:
        start = self.start
        return AssistantMessageToken(token=piece, message_id=start.message_id, attempt=start.attempt, offset=offset)


def _beyond(cursor: Cursor, piece: str) -> Cursor:
    """Return the cursor of a connection that has got a frame with the next piece of the text."""
    return replace(
        cursor,
        started=True,
        characters=cursor.characters + len(piece),
        offset=cursor.offset + frames.utf16_length(piece),
        frames=cursor.frames + 1,
    )


def stored(reply: Message, typing: str, replaces: str | None = None) -> Script:
    """Return the script of a stored reply: its start, all of its text, its end. `typing` is the text of the start."""
    start = AssistantMessageStart(
        message=typing,
        message_id=reply.message_id,
        chat_id=reply.chat_id,
        attempt=reply.attempt,
        replaces=replaces,
    )
    script = Script(start)
    script.fill(reply.content, reply.parts)
    script.end = views.complete(reply)
    return script
