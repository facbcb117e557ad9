"""A gateway that keeps what is posted, and whose connections fail as a test says."""

import json
import math
import time
from collections import Counter
from threading import Event, Lock

from handlers.chat.errors import ConnectionGone, PostFailed
from tests.support import contract
from tests.support.waiting import HANGS, until

ALWAYS = math.inf
"""As the number of posts that fail."""


class RecordingGateway:
    """Keeps all frames in their order, and the connections that were closed.

    A connection can be slow (seconds for each post), be held until `released`, be gone (410), or fail so many posts,
    before or after they are delivered. With `opens_after`, the first so many posts find no connection.
    """

    def __init__(self, *, gone=(), failing=None, failing_after_delivery=None, slow=None, held=(), opens_after=0):
        self.gone = set(gone)
        self.failing = Counter(failing)
        self.failing_after_delivery = Counter(failing_after_delivery)
        self.slow = slow or {}
        self.held = held
        self.released = Event()
        self.opens_after = opens_after
        self.frames = []
        self.closed = []
        self._lock = Lock()

    def post(self, connection_id, text):
        time.sleep(self.slow.get(connection_id, 0))
        if connection_id in self.held:
            self.released.wait(HANGS)
        if connection_id in self.gone:
            raise ConnectionGone(connection_id)
        with self._lock:
            self._fail(self.failing, connection_id)
            if self.opens_after:
                self.opens_after -= 1
                raise ConnectionGone(connection_id)
            frame = json.loads(text)
            contract.received(frame)
            self.frames.append((connection_id, frame))
            self._fail(self.failing_after_delivery, connection_id)

    def close(self, connection_id):
        self.closed.append(connection_id)
        if connection_id in self.gone:
            raise ConnectionGone(connection_id)
        self._fail(self.failing, connection_id)

    @staticmethod
    def _fail(failures, connection_id):
        if failures[connection_id]:
            failures[connection_id] -= 1
            raise PostFailed("InternalServerErrorException")

    def to(self, connection_id):
        """Return the frames of a connection."""
        return [frame for receiver, frame in list(self.frames) if receiver == connection_id]

    def kinds(self, connection_id):
        """Return the types of a connection's frames, without their common prefix."""
        return [frame["type"].removeprefix("assistant_message_") for frame in self.to(connection_id)]

    def text_at(self, connection_id):
        """Return the text that a client shows which follows the protocol: overlaps are cut, gaps are errors."""
        text = ""
        for frame in self.to(connection_id):
            if frame["type"] not in ("assistant_message_complete", "assistant_message_part"):
                assert frame["data"]["offset"] <= len(text), "a gap"
                text = text[: frame["data"]["offset"]] + frame["data"].get("token", frame["data"].get("content"))
        return text

    def until(self, connection_id, frames):
        """Wait until so many frames have been posted to a connection."""
        until(lambda: len(self.to(connection_id)) >= frames)
