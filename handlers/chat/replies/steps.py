"""Steps of a reply: the model is asked, its calls are made, and it is asked again with their results, until it answers.

Each finished step is stored before the next one begins, and each result before it is used. So a worker that takes over
repeats nothing that is finished. A reply without calls stores nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NoReturn

from handlers.chat.log import logger
from handlers.chat.records import FinishReason, Step, StepCall, ToolCall
from handlers.chat.replies import messages, prompt, results, tool_calls
from handlers.chat.replies.attempt import Attempt, Completion
from handlers.chat.replies.handing import Handing
from handlers.chat.replies.hearing import Said
from handlers.chat.replies.making import Making
from handlers.chat.replies.toolbox import MAX_ARGUMENTS_BYTES
from handlers.chat.replies.work import HandedOn, HandOnDue, Lost, Work
from handlers.chat.turns import steps

Ask = Callable[[prompt.Question], Said]
"""Asks the model once, and relays its answer."""


@dataclass(frozen=True, slots=True)
class Stepping:
    """The steps of replies. After the most that an assistant may have, the model is asked a last time."""

    making: Making
    handing: Handing

    def resume(self, attempt: Attempt) -> None:
        """Load what earlier attempts have stored, and relay its text, unless that is done. Raises `StoreError`."""
        if attempt.journal.resumed:
            return
        for step in steps.load_steps(self.making.store, attempt.chat, attempt.turn):
            attempt.relay.add(f"{messages.BREAK}{step.text}" if step.text and attempt.relay.text else step.text)
            attempt.journal.keep(step)  # its calls are shown after its text
        attempt.journal.resumed = True

    def can_answer(self, question: prompt.Question, attempt: Attempt) -> bool:
        """Return True if the tools of a question's assistant can be used, and no step has expired."""
        kept, stored = attempt.journal.stored, attempt.turn.steps
        if kept != stored:
            logger.error("steps_expired", kept=kept, stored=stored)
        return kept == stored and question.assistant.id in self.making.toolboxes

    def run(self, question: prompt.Question, attempt: Attempt, ask: Ask, work: Work) -> Completion:
        """Ask the model until it answers without calls, or the work is stopped. Raises `Lost` and `HandedOn`."""
        box, journal = self.making.toolboxes[question.assistant.id], attempt.journal
        if journal.steps:
            self.making.make(attempt, box, work, since=None)
        while not work.is_stopped:
            self._hand_on_in_time(attempt)
            may_call = len(journal.steps) < question.assistant.max_steps and bool(box.schemas)
            try:
                said = ask(replace(question, tools=box.schemas, steps=_read(journal.steps), may_call=may_call))
            except HandOnDue:
                self._hand_on(attempt)
            if not said.calls:
                return replace(said.completion, usage=journal.usage_with(said.completion.usage))
            began = self.making.runtime.monotonic()
            self._store(attempt, said)
            self._hand_on_in_time(attempt)
            self.making.make(attempt, box, work, since=began)
        return Completion(FinishReason.STOP, journal.usage_with(None))  # the reason of the stop takes its place

    def _hand_on_in_time(self, attempt: Attempt) -> None:
        if self.handing.is_due(attempt):
            self._hand_on(attempt)

    def _hand_on(self, attempt: Attempt) -> NoReturn:
        self.handing.hand_on(attempt)
        raise HandedOn

    def _store(self, attempt: Attempt, said: Said) -> None:
        calls = tuple(StepCall(_kept(call)) for call in said.calls)
        number = len(attempt.journal.steps) + 1
        step = Step(number, attempt.turn.attempt, calls, said.text, said.reasoning, said.completion.usage)
        making = self.making
        if steps.store_step(making.store, attempt.chat, attempt.turn, step, making.runtime.now()) is None:
            raise Lost
        attempt.journal.keep(step, own=True)


def _kept(call: ToolCall) -> ToolCall:
    """Return a call as it is stored. Arguments that are too long stay too long."""
    return replace(call, arguments=call.arguments[: MAX_ARGUMENTS_BYTES + 1])


def _read(stored: Iterable[Step]) -> tuple[tool_calls.Step, ...]:
    """Return steps as the model reads them."""
    return tuple(
        tool_calls.Step(tuple(_answered(call) for call in step.calls), step.text, step.reasoning) for step in stored
    )


def _answered(call: StepCall) -> tool_calls.AnsweredCall:
    return tool_calls.AnsweredCall(call.asked, (call.result or results.CANCELLED).text)
