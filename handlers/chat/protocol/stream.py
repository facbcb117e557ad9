"""The stream of a reply: the frame that each connection needs next. Pure: no I/O, no threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import SEEK_END, StringIO

from handlers.chat.protocol import frames, views
from handlers.chat.protocol.frames import (
    AssistantMessageComplete,
    AssistantMessageStart,
    AssistantMessageToken,
    ServerFrame,
)
from handlers.chat.records import Message, Resume

MAX_PIECE_CHARS = 5_000
"""Characters in one frame. At 4 bytes of UTF-8 each, or 6 for those that JSON escapes, a frame stays below 32 KB."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of one connection in a reply: it has `characters` of the text, which are `offset` UTF-16 code units.

    A `late` cursor is that of a connection that came while the reply was running: its start frame carries text from
    the offset on. `frames` counts the frames that the connection got.
    """

    late: bool = False
    started: bool = False
    characters: int = 0
    offset: int = 0
    ended: bool = False
    frames: int = 0


class Script:
    """Everything of a reply that can be sent by now: its start, the text so far, and its end once it has one."""

    def __init__(self, start: AssistantMessageStart, text: str = "") -> None:
        self.start = start
        self.end: AssistantMessageComplete | None = None
        # A buffer that grows in place. A text that is joined with each piece would be copied each time: the work would
        # grow with the square of the reply.
        self._text = StringIO()
        self._text.write(text)

    @property
    def text(self) -> str:
        """The text so far. It is put together for each call, so the work for it is that of the whole text."""
        return self._text.getvalue()

    def add(self, text: str) -> None:
        """Append a piece of the text."""
        self._text.seek(0, SEEK_END)
        self._text.write(text)

    def _piece(self, characters: int) -> str:
        """Return the text of one frame, from a position on."""
        self._text.seek(characters)
        return self._text.read(MAX_PIECE_CHARS)

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
        piece = self._piece(cursor.characters)
        if not cursor.started:
            start = replace(self.start, offset=cursor.offset, content=piece)
            return start, _beyond(cursor, piece)
        if piece:
            return self._token(piece, cursor.offset), _beyond(cursor, piece)
        if self.end is not None and not cursor.ended:
            return self.end, replace(cursor, ended=True, frames=cursor.frames + 1)
        return None

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
    script = Script(start, reply.content)
    script.end = views.complete(reply)
    return script
