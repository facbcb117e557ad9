"""Actions: what follows from a client's frame, as plain values, and the one place that carries them out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from handlers.chat.concurrency import Runtime, beside
from handlers.chat.connections import OpenConnections
from handlers.chat.delivery.functions import Functions
from handlers.chat.log import logger
from handlers.chat.protocol import frames
from handlers.chat.protocol.frames import ServerFrame
from handlers.chat.store import StoreError
from handlers.chat.turns.lifecycle import Handover

FAN_OUT_SECONDS, MAX_FAN_OUT_SECONDS = 2.0, 10.0
"""The longest delay of the next action by other devices, for each frame and for all: a reply waits for no device."""


@dataclass(frozen=True, slots=True)
class Post:
    """Send a frame to a connection."""

    frame: ServerFrame
    connection_id: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class FanOut:
    """Send frames, in order, to several connections at once. A slow one does not delay the others, or what follows.

    After a frame that fails, its connection gets no more of them: an end must not hide that a piece is missing. The
    client hears nothing then, and joins again with `resume`.
    """

    frames: tuple[ServerFrame, ...]
    connections: frozenset[str]


@dataclass(frozen=True, slots=True)
class Generate:
    """Start a worker that makes the reply of a turn."""

    handover: Handover


@dataclass(frozen=True, slots=True)
class Begin:
    """Acknowledge a message to the device that sent it and to the others in its chat, and start a worker meanwhile.

    The worker sends nothing of the reply before the turn says that the posts have ended.
    """

    acknowledgement: Post
    others: frozenset[str]
    handover: Handover


@dataclass(frozen=True, slots=True)
class Close:
    """Close a connection and forget it."""

    connection_id: str


Action = Post | FanOut | Generate | Begin | Close


@dataclass(frozen=True, slots=True)
class Performer:
    """The execution of actions. If AWS fails, that is logged, and the next action follows."""

    connections: OpenConnections
    functions: Functions
    generate_function: str
    runtime: Runtime

    def perform(self, action: Action) -> None:
        """Carry out an action."""
        match action:
            case Post():
                self._post(action)
            case FanOut():
                self._fan_out(action)
            case Generate():
                self._generate(action.handover)
            case Begin():
                self._begin(action)
            case Close():
                self.connections.evict(action.connection_id)

    def _post(self, post: Post) -> bool:
        """Post a frame, and return True if it was delivered."""
        text = frames.encode(frames.as_json(post.frame, post.request_id))
        try:
            return self.connections.post_or_forget(post.connection_id, text)
        except StoreError:
            # No error for the client: the row has a time to live, which deletes it.
            logger.exception("connection_not_forgotten", target_connection_id=post.connection_id)
            return False

    def _fan_out(self, fan_out: FanOut, own: Post | None = None) -> None:
        """Post to each connection in a thread of its own. After some seconds, go on without those that still post.

        `own` is posted in this thread at the same time, and waited for however long it takes.
        """
        began: list[float] = []
        changed = self.runtime.condition()

        def post_all(connection_id: str) -> None:
            with changed:
                began.append(self.runtime.monotonic())
                changed.notify_all()
            self._post_all(fan_out.frames, connection_id)

        threads = [self.runtime.start(partial(post_all, each), name=each) for each in sorted(fan_out.connections)]
        if own is not None:
            self._post(own)
        # Time counts from the beginning of the last post: if the process stands still before that, none is left behind.
        with changed:
            changed.wait_for(lambda: len(began) == len(threads))
        end = max(began, default=0.0) + min(FAN_OUT_SECONDS * len(fan_out.frames), MAX_FAN_OUT_SECONDS)
        for thread in threads:
            thread.join(max(0.0, end - self.runtime.monotonic()))

    def _post_all(self, frames: tuple[ServerFrame, ...], connection_id: str) -> None:
        """Post frames to a connection until one fails."""
        all(self._post(Post(frame, connection_id)) for frame in frames)

    def _begin(self, begin: Begin) -> None:
        """Post and invoke at the same time. As soon as the posts have ended, note that in the turn."""
        invoked = beside(self.runtime, partial(self._generate, begin.handover))
        try:
            self._fan_out(FanOut((begin.acknowledgement.frame,), begin.others), begin.acknowledgement)
            self._note_acknowledged(begin.handover)
        finally:
            invoked()

    def _note_acknowledged(self, handover: Handover) -> None:
        """Let the worker send the reply. If that fails, it does so after a time in which this function has ended."""
        try:
            turns = self.connections.store.turns
            turns.acknowledged(handover.user_id, handover.chat_id, handover.message_id)
        except StoreError:
            logger.exception("acknowledgement_not_noted", message_id=handover.message_id)

    def _generate(self, handover: Handover) -> None:
        """Invoke a worker. If that fails, the message stays acknowledged: the chat's next frame tries again."""
        try:
            self.functions.invoke(self.generate_function, handover.payload())
        except (BotoCoreError, ClientError):
            logger.exception("worker_not_invoked", message_id=handover.message_id)
