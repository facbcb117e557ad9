"""Journal: the stored steps of a turn, as one attempt knows them. Devices see each call in it, and its result."""

from __future__ import annotations

from dataclasses import replace

from handlers.chat.records import FinishReason, Part, PartKind, PartState, Result, Step, Turn, Usage
from handlers.chat.replies.relay import Relay
from handlers.chat.turns.steps import call_id


class Journal:
    """The stored steps of a turn, in order.

    `progressed` says that this attempt has stored one of them, `resumed` that those of earlier attempts are in it.
    """

    def __init__(self, turn: Turn, relay: Relay) -> None:
        self.steps: list[Step] = []
        self.progressed = self.resumed = False
        self._turn = turn
        self._relay = relay
        self._parts: list[Part] = []

    def keep(self, step: Step, *, own: bool = False) -> None:
        """Add the next step, and show its calls."""
        self.steps.append(replace(step, calls=tuple(replace(call, result=None) for call in step.calls)))
        self.progressed = self.progressed or own
        self._parts = []
        for place, call in enumerate(step.calls):
            part = Part(
                PartKind.TOOL_CALL,
                call_id=call_id(self._turn, step.number, place),
                name=call.asked.name,
                arguments=call.asked.arguments,
                state=PartState.RUNNING,
            )
            self._parts.append(self._relay.show(part))
            if call.result is not None:
                self.finish(place, call.result)

    def finish(self, place: int, result: Result) -> None:
        """Note the stored result of a call of the last step, and show it."""
        step = self.steps[-1]
        calls = tuple(replace(call, result=result) if at == place else call for at, call in enumerate(step.calls))
        self.steps[-1] = replace(step, calls=calls)
        part = replace(self._parts[place], state=PartState(result.state.value), result=result.text)
        self._parts[place] = self._relay.show(part)

    def end(self, reason: FinishReason) -> None:
        """Show calls that have no result as what they are, once the reply is over."""
        state = PartState.CANCELLED if reason is FinishReason.CANCELLED else PartState.ERROR
        for place, part in enumerate(self._parts):
            if part.state is PartState.RUNNING:
                self._parts[place] = self._relay.show(replace(part, state=state))

    def usage_with(self, last: Usage | None) -> Usage | None:
        """Return the tokens of all steps and of the last answer, as far as they were counted. None if none were."""
        counted = [usage for usage in (*(step.usage for step in self.steps), last) if usage is not None]
        if not counted:
            return None
        return Usage(sum(each.prompt_tokens for each in counted), sum(each.completion_tokens for each in counted))
