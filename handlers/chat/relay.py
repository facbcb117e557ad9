"""A reply on its way to the connections that see its chat.

Each connection has a sender of its own, a thread with a cursor into the reply's text. A sender posts whatever has
come since its last post: while a post is in flight the next frame grows. So the first token never waits, a fast
gateway gets a frame per token, a slow one fewer and bigger frames, and a slow device delays nobody.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from threading import Condition, Thread

from handlers.chat import frames
from handlers.chat.errors import ConnectionGone, PostFailed
from handlers.chat.frames import AssistantMessageComplete, AssistantMessageStart, AssistantMessageToken, ServerFrame
from handlers.chat.gateway import Gateway
from handlers.chat.log import logger

LARGEST_TOKEN = 5_000
"""Characters. At 4 bytes of UTF-8 each, or 6 where JSON escapes them, a token frame stays below 32 KB."""

UNPACED = 10
"""Frames at the start of a reply that no pace holds up: each frame is billed, but people judge by the first words."""

FINISH_SECONDS = 10.0
"""How long the end of a reply is tried for a connection that takes no frames."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


@dataclass(frozen=True, slots=True)
class Cursor:
    """How much of a reply a connection has: `characters` of its text, which are `offset` UTF-16 code units."""

    started: bool = False
    characters: int = 0
    offset: int = 0
    ended: bool = False
    frames: int = 0


class Script:
    """What there is to be sent of a reply: its start, the text so far, its end. No I/O, no threads."""

    def __init__(self, message_id: str) -> None:
        self._message_id = message_id
        self.start: AssistantMessageStart | None = None
        self.text = ""
        self.end: AssistantMessageComplete | None = None

    def newest(self) -> Cursor:
        """Return the cursor of a connection that is to get nothing but what is still to come."""
        return Cursor(True, len(self.text), frames.utf16_length(self.text))

    def after(self, cursor: Cursor) -> tuple[ServerFrame, Cursor] | None:
        """Return the next frame for a connection, and its cursor once it has that; None where there is none yet."""
        sent = replace(cursor, frames=cursor.frames + 1)
        if self.start is not None and not cursor.started:
            return self.start, replace(sent, started=True)
        piece = self.text[cursor.characters : cursor.characters + LARGEST_TOKEN]
        if piece:
            token = AssistantMessageToken(token=piece, message_id=self._message_id, offset=cursor.offset)
            offset = cursor.offset + frames.utf16_length(piece)
            return token, replace(sent, characters=cursor.characters + len(piece), offset=offset)
        if self.end is not None and not cursor.ended:
            return self.end, replace(sent, ended=True)
        return None


class Relay:
    """Sends one reply. `pace` is the least time, in seconds, between two frames to a connection after the first ten.

    A connection that answers 410 is named to `on_gone`, in its sender's thread, and gets nothing more. Any other
    failure is tried again from the same place in the text, so nothing is lost or reordered; what arrived although
    it failed comes twice, and the client cuts it by its offset.
    """

    def __init__(
        self,
        gateway: Gateway,
        connections: Iterable[str],
        message_id: str,
        on_gone: Callable[[str], None],
        pace: float = 0.0,
    ) -> None:
        self._gateway = gateway
        self._on_gone = on_gone
        self._pace = pace
        self._script = Script(message_id)
        self._changed = Condition()
        self._abandoned = False
        self._senders: dict[str, Thread] = {}
        for connection_id in connections:
            self._add(connection_id, Cursor())

    @property
    def text(self) -> str:
        """The text of the reply so far."""
        return self._script.text

    def start(self, frame: AssistantMessageStart) -> None:
        """Send the start of the reply."""
        with self._changed:
            self._script.start = frame
            self._changed.notify_all()

    def add(self, text: str) -> None:
        """Send a piece of the reply. Returns at once."""
        with self._changed:
            self._script.text += text
            self._changed.notify_all()

    def finish(self, frame: AssistantMessageComplete, connections: Iterable[str] = ()) -> None:
        """Send the end of the reply, also to these connections, which joined meanwhile; wait until all have it."""
        for connection_id in set(connections) - set(self._senders):
            self._add(connection_id, self._script.newest())
        with self._changed:
            self._script.end = frame
            self._changed.notify_all()
        deadline = time.monotonic() + FINISH_SECONDS
        for sender in self._senders.values():
            sender.join(max(0.0, deadline - time.monotonic()))
        self.abandon()

    def abandon(self) -> None:
        """Stop sending, whatever was not sent yet."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def _add(self, connection_id: str, cursor: Cursor) -> None:
        sender = Thread(target=self._send, args=(connection_id, cursor), name=connection_id, daemon=True)
        self._senders[connection_id] = sender
        sender.start()

    def _send(self, connection_id: str, cursor: Cursor) -> None:
        """Bring a connection to the end of the reply: the work of one sender."""
        try:
            self._bring_to_end(connection_id, cursor)
        except ConnectionGone:
            logger.info("connection gone", connection_id=connection_id)
            self._on_gone(connection_id)

    def _bring_to_end(self, connection_id: str, cursor: Cursor) -> None:
        failures, not_before = 0, 0.0
        while step := self._next(cursor, not_before):
            frame, then = step
            not_before = time.monotonic() + (self._pace if then.frames > UNPACED else 0.0)
            try:
                self._gateway.post(connection_id, frames.encode(frames.as_json(frame)))
            except PostFailed as failure:
                failures += 1
                logger.warning("post failed", connection_id=connection_id, reason=str(failure), failures=failures)
                self._rest(_pause(failures))
            else:
                cursor, failures = then, 0

    def _next(self, cursor: Cursor, not_before: float) -> tuple[ServerFrame, Cursor] | None:
        """Wait for the next frame of a connection; None when there will be none any more."""
        with self._changed:
            while not self._abandoned and not cursor.ended:
                step = self._script.after(cursor)
                # Once the reply has ended nothing more will join the frame: pacing would only make it late.
                held = not_before - time.monotonic() if self._script.end is None else 0.0
                if step is not None and held <= 0:
                    return step
                self._changed.wait(held if step is not None else None)
        return None

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._abandoned, seconds)


def _pause(failures: int) -> float:
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (failures - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
