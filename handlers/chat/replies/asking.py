"""Asking of a model: one question, within the user's budget, whose answer is relayed while it comes."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from handlers.chat.concurrency import Runtime
from handlers.chat.errors import ModelFailed
from handlers.chat.log import logger
from handlers.chat.records import FinishReason, PartKind
from handlers.chat.replies import agents, prompt, screening, spending
from handlers.chat.replies.attempt import Attempt, Completion, ModelCall, ReplySettings
from handlers.chat.replies.hearing import Hearing, Said, break_after
from handlers.chat.replies.model import AnyModel
from handlers.chat.replies.monitor import TurnMonitor
from handlers.chat.replies.work import Work


@dataclass(frozen=True, slots=True)
class Asking:
    """The asking of models, and of own agents in their place. `budget` is where the tokens are booked."""

    model: AnyModel
    own: agents.Agents
    settings: ReplySettings
    runtime: Runtime
    budget: spending.Spending
    screens: screening.Screening

    def ask(
        self, question: prompt.Question, attempt: Attempt, work: Work, monitor: TurnMonitor, call: ModelCall
    ) -> Said:
        """Ask the model once, within the user's budget, and relay its answer."""
        longest = question.assistant.max_completion_tokens or self.settings.max_completion_tokens
        kind = spending.AgentBill if question.assistant.reply else spending.Bill
        bill = self.budget.reserve(attempt, question.texts, longest, kind, question.images)
        if bill is None:
            return Said(self.apologise(attempt))
        call.begin()
        heard = self._hearing(question, attempt)
        try:
            self._hear(self._answer(question, attempt), heard, bill, call, work)
            if monitor.stop_reason is None:
                heard.end()
        except ModelFailed as failure:
            bill.billed = failure.billed
            # A model that was stopped may fail because of the stop. Then the reason of the stop counts.
            if monitor.stop_reason is None:
                logger.warning("model_failed", reason=str(failure), length=len(attempt.relay.text))
                heard.show_rest()
                return Said(replace(self.apologise(attempt), usage=heard.completion.usage))
        finally:
            call.end()
            self.budget.settle(attempt, bill)
        return heard.said()

    def _answer(self, question: prompt.Question, attempt: Attempt) -> agents.Answer:
        if question.assistant.reply:
            return self.own.answer(question, attempt)
        return self.model.answer(question)

    def _hear(self, answer: agents.Answer, heard: Hearing, bill: spending.Bill, call: ModelCall, work: Work) -> None:
        """Relay an answer until its end, or until the reply is as long as it may be."""
        with closing(answer), work.under_way(answer.stop):
            for delta in answer:
                bill.add(delta, self.runtime.now())
                call.note(delta.text)
                if not heard.add(delta):
                    break

    def _hearing(self, question: prompt.Question, attempt: Attempt) -> Hearing:
        return Hearing(
            attempt,
            may_call=question.may_call,
            shows_reasoning=self.settings.shows_reasoning,
            screen=partial(self.screens.screen, question.assistant, attempt),
            refusal=self.settings.texts.refusal,
        )

    def refuse(self, attempt: Attempt, refusal: str) -> Completion:
        """Relay a refusal instead of an answer, after the text that there is, and return the completion."""
        logger.info("question_refused")
        relay, text = attempt.relay, refusal.strip() or self.settings.texts.refusal
        relay.reason(text, PartKind.REFUSAL)
        relay.add(f"{break_after(relay)}{text}")
        return Completion(FinishReason.CONTENT_FILTER)

    def apologise(self, attempt: Attempt) -> Completion:
        """Relay the apology, after the text that there is, and return the completion of a reply that failed."""
        relay, apology = attempt.relay, self.settings.texts.apology
        relay.add(f"{break_after(relay)}{apology}")
        return Completion(FinishReason.ERROR)
