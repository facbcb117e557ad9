"""A function that answers each batch of keys as a test says."""

from __future__ import annotations

import json

from parley.functions.invocation import Outcome


class AnsweringFunction:
    """`answers` are popped in their order: a value that is returned, or an exception's class. Then None is returned."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.batches = []
        self.events = []

    async def __call__(self, name, payload, qualifier):
        event = json.loads(payload)
        self.events.append(event)
        self.batches.append([each["dynamodb"]["Keys"]["id"]["S"] for each in event["Records"]])
        answer = self.answers.pop(0) if self.answers else None
        failed = isinstance(answer, type)
        return Outcome(
            json.dumps(None if failed else answer).encode(), "Unhandled" if failed else None, False, 1.0, "id"
        )
