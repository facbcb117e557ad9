"""A function that keeps its events."""

from __future__ import annotations

import asyncio
import json

from parley.functions.invocation import Outcome


class RecordingFunction:
    """Answers what it is told to, and keeps its events."""

    def __init__(self, answer=None, error=None):
        self.answer, self.error = answer, error
        self.events = []
        self.invoked = asyncio.Event()

    async def __call__(self, name, payload, qualifier):
        self.events.append(json.loads(payload))
        self.invoked.set()
        return Outcome(json.dumps(self.answer).encode(), self.error, False, 1.0, "id")
