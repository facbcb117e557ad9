"""Generation of a reply: asks the model, and relays its answer while it comes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace

from handlers.chat.concurrency import Runtime
from handlers.chat.errors import ModelFailed
from handlers.chat.log import logger
from handlers.chat.records import FinishReason
from handlers.chat.replies import prompt, spending
from handlers.chat.replies.attempt import MAX_REPLY_BYTES, Attempt, Completion, ModelCall, ReplySettings
from handlers.chat.replies.briefing import Briefing
from handlers.chat.replies.model import AnyModel
from handlers.chat.replies.monitor import StopReason, TurnMonitor
from handlers.chat.store import Store

_FINISH_REASONS = {StopReason.CANCELLED: FinishReason.CANCELLED, StopReason.OUT_OF_TIME: FinishReason.LENGTH}


@dataclass(frozen=True, slots=True)
class Generation:
    """The generation of replies."""

    store: Store
    model: AnyModel
    settings: ReplySettings
    runtime: Runtime

    def generate(self, attempt: Attempt) -> tuple[str, Completion | None]:
        """Relay the model's answer. Return the first message of its prompt, and the completion, None if it is lost."""
        messages = self.briefing.prompt(attempt)
        if not messages:
            return "", None  # the chat was deleted, and its messages with it
        question = messages[0][1]
        if attempt.turn.cancelled:
            return question, Completion(FinishReason.CANCELLED)
        asked = self.briefing.question(messages, attempt)
        return question, self.apologise(attempt) if asked is None else self._answer(asked, attempt)

    def _answer(self, question: prompt.Question, attempt: Attempt) -> Completion | None:
        """Ask the model within the user's budget. Returns None if the turn is lost meanwhile."""
        assistant = question.assistant
        longest = assistant.max_completion_tokens or self.settings.max_completion_tokens
        bill = self._spending.reserve(attempt, question.texts, longest)
        if bill is None:
            return self.apologise(attempt)
        call = ModelCall(self.runtime, assistant.model)
        try:
            completion = self._ask(question, attempt, bill, call)
        finally:
            call.end()
            self._spending.settle(attempt, bill)
        return completion and replace(completion, call=call)

    @property
    def briefing(self) -> Briefing:
        """The briefing of the model."""
        return Briefing(self.store, self.settings)

    @property
    def _spending(self) -> spending.Spending:
        return spending.Spending(self.store, self.settings, self.runtime)

    def _ask(
        self, question: prompt.Question, attempt: Attempt, bill: spending.Bill, call: ModelCall
    ) -> Completion | None:
        """Ask the model, and relay its answer. Returns None if the turn is lost meanwhile."""
        completion = Completion(FinishReason.STOP)
        room = MAX_REPLY_BYTES
        asked = self.model.answer(question)
        with closing(asked) as answer, self._monitor(attempt, answer.stop) as monitor:
            try:
                for delta in answer:
                    bill.add(delta, self.runtime.now())
                    call.note(delta.text)
                    attempt.relay.reason(delta.reasoning if self.settings.shows_reasoning else "")
                    piece = _fitting(delta.text, room)
                    room -= len(piece.encode())
                    attempt.relay.add(piece)
                    completion = completion.after(delta.finish_reason, delta.usage, cut=piece != delta.text)
                    if piece != delta.text:
                        break
                if monitor.stop_reason is None and completion.finish_reason is FinishReason.STOP:
                    _check_text(attempt)
            except ModelFailed as failure:
                bill.billed = failure.billed
                # A model that was stopped may fail because of the stop. Then the reason of the stop counts.
                if monitor.stop_reason is None:
                    logger.warning("model_failed", reason=str(failure), length=len(attempt.relay.text))
                    return replace(self.apologise(attempt), usage=completion.usage)
        if monitor.stop_reason is None:
            return completion
        if monitor.stop_reason is StopReason.LOST:
            return None
        return replace(completion, finish_reason=_FINISH_REASONS[monitor.stop_reason])

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

    def apologise(self, attempt: Attempt) -> Completion:
        """Relay the apology, after the text that there is, and return the completion of a reply that failed."""
        relay, apology = attempt.relay, self.settings.texts.apology
        relay.add(f"{prompt.BREAK}{apology}" if relay.text else apology)
        return Completion(FinishReason.ERROR)


def _check_text(attempt: Attempt) -> None:
    if not attempt.relay.text:
        raise ModelFailed("the model said nothing")


def _fitting(text: str, room: int) -> str:
    """Return as much of a text as fits into `room` bytes of UTF-8."""
    encoded = text.encode()
    return text if len(encoded) <= room else encoded[:room].decode(errors="ignore")
