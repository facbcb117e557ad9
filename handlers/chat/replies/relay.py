"""Relay of one reply to the connections that see its chat.

Each connection has its own sender: a thread with a cursor into the reply's text. A sender posts everything that has
come since its last post. While a post is under way, the next frame grows. So the first token never waits, a fast
gateway gets a frame for each token, a slow one gets fewer and larger frames, and a slow device delays no other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from handlers.chat.concurrency import Runtime
from handlers.chat.delivery.gateway import Gateway, pause
from handlers.chat.errors import ConnectionGone, PostFailed
from handlers.chat.log import logger
from handlers.chat.protocol import frames, views
from handlers.chat.protocol.frames import AssistantMessageComplete, AssistantMessageStart, ServerFrame
from handlers.chat.protocol.stream import Cursor, Script
from handlers.chat.records import Message, Part, PartKind, Subscription
from handlers.chat.settings import Pace

POLL_SECONDS = 0.9
"""The longest time between two reads of the chat while a reply is sent."""

NO_PACE = Pace()

FINISH_SECONDS = 10.0
"""The wait for the end to reach all connections. After it the reply counts as announced."""

LINGER_SECONDS = 30.0
"""The time after that in which the relay still tries to reach connections that take no frames."""


class Relay:
    """The sender of one reply, at a pace.

    A connection that answers 410 is passed to `on_gone`, in its sender's thread, and gets nothing more. After any other
    failure the same part of the text is sent again, so nothing is lost or out of order. A frame that arrived although
    its post failed comes twice; the client cuts the overlap by the frame's offset. `subscribers` reads the ids of the
    chat's subscribers, and returns None if it cannot.
    """

    def __init__(
        self,
        gateway: Gateway,
        start: AssistantMessageStart,
        on_gone: Callable[[str], None],
        runtime: Runtime,
        pace: Pace = NO_PACE,
        subscribers: Callable[[], Collection[str] | None] = lambda: None,
    ) -> None:
        self._gateway = gateway
        self._on_gone = on_gone
        self._pace = pace
        self._subscribers = subscribers
        self._runtime = runtime
        self._script = Script(start)
        # Everything below is guarded by this condition's lock. Each change of it is notified.
        self._changed = runtime.condition()
        self._abandoned = False
        self._held = self._waits_for_end = False
        self._cursors: dict[str, Cursor] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._followed = False
        self._since: float | None = None
        self._sending: set[str] = set()
        self._hungry = 0
        self._posted = 0

    @property
    def text(self) -> str:
        """The text of the reply so far."""
        return self._script.text

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the reply as they are by now."""
        with self._changed:
            return self._script.parts

    @property
    def frames(self) -> int:
        """The number of frames posted so far and still to be posted, the end included, if no more text comes."""
        with self._changed:
            to_come = (
                self._script.frames_after(self._cursors[each]) + 1 for each in self._sending & self._cursors.keys()
            )
            return self._posted + sum(to_come)

    def follow(self, subscribers: Mapping[str, Subscription]) -> None:
        """Send the reply to these connections and to no others, to each until its session ends.

        Those of the first call get all of it in tokens. A later one gets the text so far in its start frame, from its
        resume point on. One that joined again goes on from its new resume point.
        """
        with self._changed:
            self._drop(self._subscriptions.keys() - subscribers.keys())
            known, self._subscriptions = self._subscriptions, dict(subscribers)
            for connection_id, subscription in subscribers.items():
                before = known.get(connection_id)
                if before is None or before.join != subscription.join:
                    self._admit(connection_id, self._script.resume(subscription.resume) if self._followed else Cursor())
                elif before.until != subscription.until and connection_id in self._cursors:
                    # A new token: go on where the session had ended.
                    self._admit(connection_id, self._cursors[connection_id])
            self._followed = True
            self._changed.notify_all()

    def announce(self, subscribers: Mapping[str, Subscription], reply: Message) -> None:
        """Send a stored reply from its beginning, and wait as `finish` does. Clients cut the text that they have."""
        with self._changed:
            self._script.fill(reply.content, reply.parts)
            self._subscriptions = dict(subscribers)
            for connection_id in subscribers:
                self._admit(connection_id, self._script.late())
        self.finish(views.complete(reply))

    def _admit(self, connection_id: str, cursor: Cursor) -> None:
        self._cursors[connection_id] = cursor
        if connection_id not in self._sending:
            self._sending.add(connection_id)
            self._runtime.start(lambda: self._send(connection_id), connection_id)

    def _drop(self, connections: Iterable[str]) -> None:
        for connection_id in connections:
            self._cursors.pop(connection_id, None)

    def _may_send(self, connection_id: str) -> bool:
        return not self._abandoned and self._subscriptions[connection_id].may_hear(self._runtime.now())

    def add(self, text: str) -> None:
        """Send a piece of the reply. Returns at once."""
        with self._changed:
            is_first = bool(text) and not self._script.has_text
            self._script.add(text)
            self._grown(bool(text), wake=is_first)

    def show(self, part: Part) -> Part:
        """Send a part, or a new state of one, and return it with its place. Returns at once. See `Script.show`."""
        with self._changed:
            shown = self._script.show(part)
            self._grown(True)
            return shown

    def reason(self, text: str, kind: PartKind = PartKind.REASONING) -> None:
        """Send a piece of the reasoning, or of a refusal. Returns at once."""
        with self._changed:
            if text:
                self._script.reason(text, kind)
            self._grown(bool(text))

    def _grown(self, is_more: bool, *, wake: bool = False) -> None:
        """Note that something may have come, and wake the senders that wait for it."""
        if is_more and self._since is None:
            self._since = self._runtime.monotonic()
        # A sender whose next frame waits for the pace has something to send already: it is not woken up for more,
        # except for the first text.
        if self._hungry or wake:
            self._changed.notify_all()

    def finish(self, frame: AssistantMessageComplete) -> None:
        """Send the end of the reply, and wait until all connections have it, for `FINISH_SECONDS` at most."""
        with self._changed:
            self._script.end = frame
            self._waits_for_end = False
            self._changed.notify_all()
        self.wait(FINISH_SECONDS)

    def wait(self, seconds: float) -> None:
        """Wait until all connections have the end, for this time at most. Those that leave the chat get no more."""
        # The turn is sealed, so its monitor does not poll any more. A slow connection may still leave the chat.
        end = self._runtime.monotonic() + seconds
        while (left := end - self._runtime.monotonic()) > 0:
            with self._changed:
                if self._changed.wait_for(lambda: not self._sending, min(left, POLL_SECONDS)):
                    return
            self._drop_departed()

    def _drop_departed(self) -> None:
        subscribers = self._subscribers()
        if subscribers is not None:
            with self._changed:
                self._drop(self._cursors.keys() - set(subscribers))
                self._changed.notify_all()

    def hold(self) -> None:
        """Send nothing until `release`. Text that comes meanwhile joins the first frames."""
        with self._changed:
            self._held = True

    def release(self) -> None:
        """Send what there is by now, and what comes."""
        with self._changed:
            self._held = False
            self._changed.notify_all()

    def wait_for_release(self) -> None:
        """Wait as long as it is held, unless it is abandoned. If it was, it sends nothing before `finish`.

        While nobody makes the reply any more, nobody watches who leaves the chat. So `follow` it once more before.
        """
        with self._changed:
            self._waits_for_end = self._held
            self._changed.wait_for(lambda: not self._held or self._abandoned)

    def abandon(self) -> None:
        """Stop all senders, even if something is not sent yet."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def _send(self, connection_id: str) -> None:
        """Send the reply to one connection: the work of its sender's thread."""
        try:
            self._send_to_end(connection_id)
        except ConnectionGone:
            logger.info("connection_gone", target_connection_id=connection_id)
            self._on_gone(connection_id)
        finally:
            with self._changed:
                self._sending.discard(connection_id)
                self._changed.notify_all()

    def _send_to_end(self, connection_id: str) -> None:
        failures, not_before = 0, 0.0
        while step := self._next(connection_id, not_before):
            frame, cursor, then = step
            not_before = self._not_before(then)
            try:
                self._gateway.post(connection_id, frames.encode(frames.as_json(frame)))
            except PostFailed as failure:
                failures += 1
                logger.warning(
                    "post_failed", target_connection_id=connection_id, reason=str(failure), failures=failures
                )
                self._rest(pause(failures) * self._runtime.jitter())
            else:
                failures = 0
                self._move(connection_id, cursor, then)

    def _not_before(self, then: Cursor) -> float:
        """Return the moment from which a connection may get the frame after the one that is posted now."""
        now = self._runtime.monotonic()
        # The start frame is no text: it does not count.
        return now + self._pace.after(then.frames - 1, now - (now if self._since is None else self._since))

    def _next(self, connection_id: str, not_before: float) -> tuple[ServerFrame, Cursor, Cursor] | None:
        """Wait for the next frame of a connection. Returns the frame, the cursor, and the cursor after the frame.

        Returns None if the connection needs nothing more: the sender ends.
        """
        # The decision and the waiting are under one lock. Text that comes between a look at the script and the wait
        # would otherwise notify nobody, and this connection would wait for the token after it.
        with self._changed:
            while (cursor := self._cursors.get(connection_id)) and not cursor.ended and self._may_send(connection_id):
                step = None if self._held or self._waits_for_end else self._script.after(cursor)
                # Pacing lets more text join the frame. After the end no more comes, so it would only be late.
                early = not_before - self._runtime.monotonic() if self._is_paced(cursor) else 0.0
                if step is not None and early <= 0:
                    return step[0], cursor, step[1]
                if step is not None:
                    self._changed.wait(early)
                else:
                    self._hungry += 1
                    self._changed.wait()
                    self._hungry -= 1
            # Under the same lock as the decision to end. If it were not, `_admit` could find this sender still in the
            # set, start no new one, and the connection that it admits would get nothing.
            self._sending.discard(connection_id)
            self._changed.notify_all()
        return None

    def _is_paced(self, cursor: Cursor) -> bool:
        """Return True if the next frame of a connection may have to wait. The first text waits for nothing."""
        return self._script.end is None and (cursor.characters > 0 or not self._script.has_text)

    def _move(self, connection_id: str, cursor: Cursor, then: Cursor) -> None:
        """Note that a frame has arrived."""
        with self._changed:
            self._posted += 1
            # Not if the connection was admitted again while the post was under way: then its cursor is a new one.
            if self._cursors.get(connection_id) is cursor:
                self._cursors[connection_id] = then

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._abandoned, seconds)
