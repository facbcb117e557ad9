"""Generation of a reply, from what is stored to what is to be stored, while its turn is watched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from handlers.chat.assistants import Refusal
from handlers.chat.concurrency import Runtime
from handlers.chat.records import FinishReason
from handlers.chat.replies import prompt, steps
from handlers.chat.replies.asking import Asking
from handlers.chat.replies.attempt import Attempt, Completion, ModelCall, ReplySettings
from handlers.chat.replies.briefing import Briefing
from handlers.chat.replies.monitor import StopReason, TurnMonitor
from handlers.chat.replies.work import Cancelled, Lost, Work
from handlers.chat.store import Store

_FINISH_REASONS = {StopReason.CANCELLED: FinishReason.CANCELLED, StopReason.OUT_OF_TIME: FinishReason.LENGTH}


@dataclass(frozen=True, slots=True)
class Generation:
    """The generation of replies."""

    store: Store
    settings: ReplySettings
    runtime: Runtime
    asking: Asking
    stepping: steps.Stepping

    def generate(self, attempt: Attempt) -> tuple[str, Completion | None]:
        """Relay the model's answer. Return the first text of its prompt, and the completion, None if it is lost.

        It goes on after what earlier attempts have stored. Raises `HandedOn`.
        """
        self._resume(attempt)
        messages = self.briefing.prompt(attempt)
        if not messages:
            return "", None  # the chat was deleted, and its messages with it
        # The chat gets its title from it: not from a text that a hook has not seen.
        assistant = self.settings.assistants.find(attempt.chat.assistant)
        question = "" if assistant is not None and assistant.on_question else messages[0].text
        if attempt.turn.cancelled:
            return question, Completion(FinishReason.CANCELLED, attempt.journal.usage_with(None))
        try:
            asked = self.briefing.question(messages, attempt)
        except Refusal as refusal:
            refused = self.asking.refuse(attempt, str(refusal))
            return "", replace(refused, usage=attempt.journal.usage_with(None))
        if asked is None or not self.stepping.can_answer(asked, attempt):
            return question, self.give_up(attempt)
        return asked.prompt[0].text, self._answer(asked, attempt)

    def give_up(self, attempt: Attempt) -> Completion:
        """Relay the apology instead of an answer of the model, and return the completion of the reply.

        It comes after the text that is stored. Raises `StoreError` if that cannot be read: no reply may lack it.
        """
        self._resume(attempt)
        return replace(self.asking.apologise(attempt), usage=attempt.journal.usage_with(None))

    def _resume(self, attempt: Attempt) -> None:
        """Take over what earlier attempts have stored: steps of the model, or named steps of an own agent."""
        assistant = self.settings.assistants.find(attempt.chat.assistant)
        if assistant is not None and assistant.reply is not None:
            self.asking.own.resume(attempt)
        else:
            self.stepping.resume(attempt)

    def _answer(self, question: prompt.Question, attempt: Attempt) -> Completion | None:
        """Ask the model until it has answered. Returns None if the turn is lost meanwhile. Raises `HandedOn`."""
        work, call = Work(self.runtime), ModelCall(self.runtime, question.assistant.model)
        try:
            with self._monitor(attempt, work.stop) as monitor:
                ask = partial(self.asking.ask, attempt=attempt, work=work, monitor=monitor, call=call)
                completion = self.stepping.run(question, attempt, ask, work)
        except Lost:
            return None
        except Cancelled:
            completion = Completion(FinishReason.CANCELLED, attempt.journal.usage_with(None))
        if monitor.stop_reason is StopReason.LOST:
            return None
        if monitor.stop_reason is StopReason.OUT_OF_TIME and not attempt.relay.text:
            return replace(self.give_up(attempt), call=call if call.was_asked else None)
        if monitor.stop_reason is not None:
            completion = replace(completion, finish_reason=_FINISH_REASONS[monitor.stop_reason])
        return replace(completion, call=call if call.was_asked else None)

    @property
    def briefing(self) -> Briefing:
        """The briefing of the model."""
        return Briefing(self.store, self.settings, self.runtime, self.asking.screens)

    def _monitor(self, attempt: Attempt, stop: Callable[[], None]) -> TurnMonitor:
        return TurnMonitor(
            self.store,
            attempt.chat,
            attempt.turn,
            attempt.relay,
            self.runtime,
            stop=stop,
            remaining=attempt.remaining,
        )
