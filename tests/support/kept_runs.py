"""A runner of functions whose invocations end when a test says so."""

from __future__ import annotations

import asyncio

from parley.functions.invocation import Invocation, Outcome


class HeldRunner:
    """The runner. `invocations` are those that it was given."""

    def __init__(self) -> None:
        self.invocations: list[Invocation] = []
        self._running: list[asyncio.Future[Outcome]] = []

    async def run(self, invocation: Invocation) -> Outcome:
        """Wait until the test ends the invocation."""
        self.invocations.append(invocation)
        self._running.append(asyncio.get_running_loop().create_future())
        return await self._running[-1]

    def end(self, outcome: Outcome) -> None:
        """End the invocation that came last."""
        self._running[-1].set_result(outcome)
