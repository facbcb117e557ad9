"""Journal: the stored steps of a turn, as one attempt knows them. Devices see each call in it, and its result."""

from __future__ import annotations

from dataclasses import replace

from handlers.chat.records import (
    FinishReason,
    NamedStep,
    Part,
    PartKind,
    PartState,
    Result,
    Step,
    Turn,
    Usage,
)
from handlers.chat.replies.relay import Relay
from handlers.chat.turns.steps import call_id

MAX_OWN_PARTS = 256
"""Sources and calls of one own agent that are shown. More of them are passed over."""


class Journal:
    """The stored steps of a turn, in order. `named` are those of an own agent that earlier attempts have stored.

    `progressed` says that this attempt has stored one of them, `resumed` that those of earlier attempts are in it.
    """

    def __init__(self, turn: Turn, relay: Relay) -> None:
        self.steps: list[Step] = []
        self.named: tuple[NamedStep, ...] = ()
        self.progressed = self.resumed = False
        self._turn = turn
        self._relay = relay
        self._parts: list[Part] = []
        self._own: dict[str, Part] = {}

    @property
    def stored(self) -> int:
        """The number of steps that earlier attempts, or this one, are known to have stored."""
        return len(self.steps) + len(self.named)

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

    def show(self, part: Part) -> None:
        """Show a part of an own agent. A call with the id of an earlier one is the new state of that one."""
        name = part.call_id or f"{part.kind} {len(self._own)}"
        if (earlier := self._own.get(name)) is not None:
            part = replace(part, index=earlier.index, offset=earlier.offset, call_id=earlier.call_id)
        elif len(self._own) >= MAX_OWN_PARTS:
            return
        elif part.call_id:
            # Ours is unique among all replies. The agent's own may be anything.
            part = replace(part, call_id=f"{self._turn.message_id}-own-{len(self._own):02}")
        self._own[name] = self._relay.show(part)

    def end(self, reason: FinishReason) -> None:
        """Show calls that have no result as what they are, once the reply is over."""
        state = PartState.CANCELLED if reason is FinishReason.CANCELLED else PartState.ERROR
        for place, part in enumerate(self._parts):
            if part.state is PartState.RUNNING:
                self._parts[place] = self._relay.show(replace(part, state=state))
        for name, part in self._own.items():
            if part.state is PartState.RUNNING:
                self._own[name] = self._relay.show(replace(part, state=state))

    def usage_with(self, last: Usage | None) -> Usage | None:
        """Return the tokens of all steps and of the last answer, as far as they were counted. None if none were."""
        stored = [*(step.usage for step in self.steps), *(step.usage for step in self.named), last]
        counted = [usage for usage in stored if usage is not None]
        if not counted:
            return None
        return Usage(sum(each.prompt_tokens for each in counted), sum(each.completion_tokens for each in counted))
