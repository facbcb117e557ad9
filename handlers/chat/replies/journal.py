"""Journal: the stored steps of a turn, as one attempt knows them. Devices see each call in it, and its result."""

from __future__ import annotations

from dataclasses import replace

from handlers.chat.records import (
    FinishReason,
    NamedStep,
    Part,
    PartState,
    Result,
    Step,
    StepCall,
    Turn,
    Usage,
    total_usage,
)
from handlers.chat.replies.relay import Relay
from handlers.chat.turns.steps import part_of

MAX_OWN_PARTS = 256
"""Sources and calls of one own agent that are shown. More of them are passed over."""


class Journal:
    """The stored steps of a turn, in order. `named` are those of an own agent that earlier attempts have stored.

    `progressed` says that this attempt has stored one of them, `resumed` that those of earlier attempts are in it.
    `turn` is the attempt's own, as it is with these steps.
    """

    def __init__(self, turn: Turn, relay: Relay) -> None:
        self.steps: list[Step] = []
        self.named: tuple[NamedStep, ...] = ()
        self.progressed = self.resumed = False
        self.turn = turn
        self._relay = relay
        self._parts: list[Part] = []
        self._own: dict[str, Part] = {}

    @property
    def stored(self) -> int:
        """The number of steps that earlier attempts, or this one, are known to have stored."""
        return len(self.steps) + len(self.named)

    def keep(self, step: Step, turn: Turn | None = None) -> None:
        """Add the next step, and show its calls. `turn` is the turn with it, if this attempt has stored it."""
        self.steps.append(step)
        self.progressed, self.turn = self.progressed or turn is not None, turn or self.turn
        self._parts = [self._relay.show(part_of(self.turn, step, place)) for place in range(len(step.calls))]

    def finish(self, place: int, result: Result) -> None:
        """Note the stored result of a call of the last step, and show it."""
        self.note(place, replace(self.steps[-1].calls[place], result=result))

    def note(self, place: int, call: StepCall) -> None:
        """Note a call of the last step as it is stored by now, and show it."""
        step = self.steps[-1]
        calls = (*step.calls[:place], call, *step.calls[place + 1 :])
        self.steps[-1] = replace(step, calls=calls)
        self._parts[place] = self._relay.show(
            replace(
                part_of(self.turn, self.steps[-1], place),
                index=self._parts[place].index,
                offset=self._parts[place].offset,
            )
        )

    def show(self, part: Part) -> None:
        """Show a part of an own agent. A call with the id of an earlier one is the new state of that one."""
        name = part.call_id or f"{part.kind} {len(self._own)}"
        if (earlier := self._own.get(name)) is not None:
            part = replace(part, index=earlier.index, offset=earlier.offset, call_id=earlier.call_id)
        elif len(self._own) >= MAX_OWN_PARTS:
            return
        elif part.call_id:
            # Ours is unique among all replies. The agent's own may be anything.
            part = replace(part, call_id=f"{self.turn.message_id}-own-{len(self._own):02}")
        self._own[name] = self._relay.show(part)

    def end(self, reason: FinishReason) -> None:
        """Show calls that have no result as what they are, once the reply is over."""
        state = PartState.CANCELLED if reason is FinishReason.CANCELLED else PartState.ERROR
        for place, part in enumerate(self._parts):
            if part.state in (PartState.RUNNING, PartState.WAITING):
                self._parts[place] = self._relay.show(replace(part, state=state))
        for name, part in self._own.items():
            if part.state is PartState.RUNNING:
                self._own[name] = self._relay.show(replace(part, state=state))

    def usage_with(self, last: Usage | None) -> Usage | None:
        """Return the tokens of all steps and of the last answer, as far as they were counted. None if none were."""
        return total_usage([*(step.usage for step in self.steps), *(step.usage for step in self.named), last])
