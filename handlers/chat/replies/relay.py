"""A reply on its way to the connections that see its chat.

Each connection has a sender of its own, a thread with a cursor into the reply's text. A sender posts whatever has
come since its last post: while a post is in flight the next frame grows. So the first token never waits, a fast
gateway gets a frame per token, a slow one fewer and bigger frames, and a slow device delays nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from handlers.chat.concurrency import Runtime
from handlers.chat.delivery.gateway import Gateway, pause
from handlers.chat.errors import ConnectionGone, PostFailed
from handlers.chat.log import logger
from handlers.chat.protocol import frames
from handlers.chat.protocol.frames import (
    AssistantMessageComplete,
    AssistantMessageStart,
    AssistantMessageToken,
    Resume,
    ServerFrame,
)
from handlers.chat.records import Subscription

LARGEST_TOKEN = 5_000
"""Characters. At 4 bytes of UTF-8 each, or 6 where JSON escapes them, a frame of that many stays below 32 KB."""

UNPACED = 10
"""Frames at the start of a reply that no pace holds up: each frame is billed, but people judge by the first words."""

FINISH_SECONDS = 10.0
"""How long the end of a reply is waited for before the reply counts as announced."""

LINGER_SECONDS = 30.0
"""How much longer it is tried for a connection that takes no frames."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How much of a reply a connection has: `characters` of its text, which are `offset` UTF-16 code units.

    One that is `late` came when the reply was running: its start frame carries text from the offset on.
    """

    late: bool = False
    started: bool = False
    characters: int = 0
    offset: int = 0
    ended: bool = False
    frames: int = 0


class Script:
    """What there is to be sent of a reply: its start, the text so far, its end. No I/O, no threads."""

    def __init__(self, start: AssistantMessageStart, text: str = "") -> None:
        self.start = start
        self.text = text
        self.end: AssistantMessageComplete | None = None

    def late(self, offset: int = 0) -> Cursor:
        """Return the cursor of a connection that has the text up to an offset in UTF-16 code units.

        An offset beyond the text, or in the middle of a character, becomes the nearest one before.
        """
        characters = len(self.text.encode("utf-16-le")[: 2 * offset].decode("utf-16-le", "ignore"))
        return Cursor(late=True, characters=characters, offset=frames.utf16_length(self.text[:characters]))

    def resume(self, resume: Resume | None) -> Cursor:
        """Return where a newcomer goes on. Another attempt's text is void: who has such a text begins at its start."""
        if resume is None or resume.message_id != self.start.message_id or (resume.attempt or 1) != self.start.attempt:
            return self.late()
        return self.late(resume.offset)

    def ended(self) -> Cursor:
        """Return the cursor of a connection that is to get nothing but the end."""
        return replace(self.late(frames.LARGEST_OFFSET), started=True)

    def after(self, cursor: Cursor) -> tuple[ServerFrame, Cursor] | None:
        """Return the next frame for a connection, and its cursor once it has that; None where there is none yet."""
        sent = replace(cursor, frames=cursor.frames + 1)
        piece = self.text[cursor.characters : cursor.characters + LARGEST_TOKEN]
        beyond = replace(
            sent, characters=cursor.characters + len(piece), offset=cursor.offset + frames.utf16_length(piece)
        )
        if not cursor.started and cursor.late:
            start = self.start.model_copy(update={"offset": cursor.offset, "content": piece})
            return start, replace(beyond, started=True)
        if not cursor.started:
            return self.start, replace(sent, started=True)
        if piece:
            return self._token(piece, cursor.offset), beyond
        if self.end is not None and not cursor.ended:
            return self.end, replace(sent, ended=True)
        return None

    def frames_after(self, cursor: Cursor) -> int:
        """Return how many frames a connection lacks of what there is by now."""
        frames = 0
        while step := self.after(cursor):
            frames, cursor = frames + 1, step[1]
        return frames

    def _token(self, piece: str, offset: int) -> AssistantMessageToken:
        start = self.start
        return AssistantMessageToken(token=piece, message_id=start.message_id, attempt=start.attempt, offset=offset)


class Relay:
    """Sends one reply. `pace` is the least time, in seconds, between two frames to a connection after the first ten.

    A connection that answers 410 is named to `on_gone`, in its sender's thread, and gets nothing more. Any other
    failure is tried again from the same place in the text, so nothing is lost or reordered; what arrived although
    it failed comes twice, and the client cuts it by its offset.
    """

    def __init__(
        self,
        gateway: Gateway,
        start: AssistantMessageStart,
        on_gone: Callable[[str], None],
        runtime: Runtime,
        pace: float = 0.0,
    ) -> None:
        self._gateway = gateway
        self._on_gone = on_gone
        self._pace = pace
        self._runtime = runtime
        self._script = Script(start)
        self._changed = runtime.condition()
        self._abandoned = False
        self._cursors: dict[str, Cursor] = {}
        self._joins: dict[str, str] = {}
        self._followed = False
        self._sending: set[str] = set()
        self._posted = 0

    @property
    def text(self) -> str:
        """The text of the reply so far."""
        return self._script.text

    @property
    def frames(self) -> int:
        """How many frames were posted, and will be until every connection has the end, if no more text comes."""
        with self._changed:
            to_come = (
                self._script.frames_after(self._cursors[each]) + 1 for each in self._sending & self._cursors.keys()
            )
            return self._posted + sum(to_come)

    def follow(self, subscribers: Mapping[str, Subscription]) -> None:
        """Send the reply to these connections and to no others.

        The first who are named get all of it, later ones what was said before with their start frame, from the
        offset at which they resume. One that joined again goes on from there.
        """
        with self._changed:
            for connection_id in self._joins.keys() - subscribers.keys():
                self._cursors.pop(connection_id, None)
            for connection_id, subscription in subscribers.items():
                if self._joins.get(connection_id) != subscription.join:
                    self._admit(connection_id, self._script.resume(subscription.resume) if self._followed else Cursor())
            self._joins = {connection_id: each.join for connection_id, each in subscribers.items()}
            self._followed = True
            self._changed.notify_all()

    def announce(self, connections: Iterable[str], frame: AssistantMessageComplete) -> None:
        """Send nothing but the end of the reply, and wait as `finish` does."""
        with self._changed:
            for connection_id in connections:
                self._admit(connection_id, self._script.ended())
        self.finish(frame)

    def _admit(self, connection_id: str, cursor: Cursor) -> None:
        self._cursors[connection_id] = cursor
        if connection_id not in self._sending:
            self._sending.add(connection_id)
            self._runtime.start(lambda: self._send(connection_id), connection_id)

    def add(self, text: str) -> None:
        """Send a piece of the reply. Returns at once."""
        with self._changed:
            self._script.text += text
            self._changed.notify_all()

    def finish(self, frame: AssistantMessageComplete) -> None:
        """Send the end of the reply, and wait until all have it, or have had some time."""
        with self._changed:
            self._script.end = frame
            self._changed.notify_all()
        self.wait(FINISH_SECONDS)

    def wait(self, seconds: float) -> None:
        """Wait until all have the end, so many seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._sending, seconds)

    def abandon(self) -> None:
        """Stop sending, whatever was not sent yet."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def _send(self, connection_id: str) -> None:
        """Bring a connection to the end of the reply: the work of one sender."""
        try:
            self._bring_to_end(connection_id)
        except ConnectionGone:
            logger.info("connection gone", connection_id=connection_id)
            self._on_gone(connection_id)
        finally:
            with self._changed:
                self._sending.discard(connection_id)
                self._changed.notify_all()

    def _bring_to_end(self, connection_id: str) -> None:
        failures, not_before = 0, 0.0
        while step := self._next(connection_id, not_before):
            frame, cursor, then = step
            not_before = self._runtime.monotonic() + (self._pace if then.frames > UNPACED else 0.0)
            try:
                self._gateway.post(connection_id, frames.encode(frames.as_json(frame)))
            except PostFailed as failure:
                failures += 1
                logger.warning("post failed", connection_id=connection_id, reason=str(failure), failures=failures)
                self._rest(pause(failures) * self._runtime.jitter())
            else:
                failures = 0
                self._move(connection_id, cursor, then)

    def _next(self, connection_id: str, not_before: float) -> tuple[ServerFrame, Cursor, Cursor] | None:
        """Wait for the next frame of a connection; None when there will be none any more."""
        with self._changed:
            while not self._abandoned and (cursor := self._cursors.get(connection_id)) and not cursor.ended:
                step = self._script.after(cursor)
                # Once the reply has ended nothing more will join the frame: pacing would only make it late.
                held = not_before - self._runtime.monotonic() if self._script.end is None else 0.0
                if step is not None and held <= 0:
                    return step[0], cursor, step[1]
                self._changed.wait(held if step is not None else None)
            # In the same breath as the decision: whoever admits this connection from now on starts a new sender.
            self._sending.discard(connection_id)
            self._changed.notify_all()
        return None

    def _move(self, connection_id: str, cursor: Cursor, then: Cursor) -> None:
        """Note that a frame has arrived, unless the connection was admitted anew while the frame was in flight."""
        with self._changed:
            self._posted += 1
            if self._cursors.get(connection_id) is cursor:
                self._cursors[connection_id] = then

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._abandoned, seconds)
