"""Own agents: the developer's function makes a reply in place of a model."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from functools import partial

from handlers.chat.assistants import Call, ChatMessage, Turn
from handlers.chat.concurrency import Runtime
from handlers.chat.identity import secrets
from handlers.chat.replies import calls, handing, llm, messages, monitor, named_steps
from handlers.chat.replies.agent_answers import AgentAnswer
from handlers.chat.replies.attempt import Attempt
from handlers.chat.replies.prompt import Question
from handlers.chat.store import Store
from handlers.chat.turns import steps

Answer = llm.ModelAnswer | AgentAnswer
"""An answer to a question, a model's or an own agent's. It is iterated over once, and closed."""


@dataclass(frozen=True, slots=True)
class Agents:
    """The running of own agents in one environment. `calls` counts the threads that are left behind.

    `refusal` is what the user reads if an agent refuses without a text.
    """

    store: Store
    runtime: Runtime
    calls: calls.Calls
    handing: handing.Handing
    refusal: str

    def resume(self, attempt: Attempt) -> None:
        """Load what earlier attempts of an agent have stored. Does nothing if that is done. Raises `StoreError`."""
        if not attempt.journal.resumed:
            attempt.journal.named = steps.load_named(self.store, attempt.chat, attempt.turn)
            attempt.journal.resumed = True

    def answer(self, question: Question, attempt: Attempt) -> AgentAnswer:
        """Start the agent of a question's assistant, and return its answer."""
        answer = AgentAnswer(question.assistant, self.runtime, self.calls, self.refusal)
        named = named_steps.NamedSteps(
            self.store, attempt, self.handing, self.runtime, answer.fail, answer.is_stopped, self.calls.count
        )
        reserve = min(monitor.RESERVE_SECONDS, attempt.remaining() / 2)
        turn = Turn(
            user_id=attempt.chat.user_id,
            chat_id=attempt.chat.chat_id,
            message_id=attempt.turn.message_id,
            attempt=attempt.turn.attempt,
            messages=messages_of(question),
            instructions=question.instructions,
            remaining=lambda: max(0.0, attempt.remaining() - reserve),
            run_step=named.run,
            read_secret=self._secret,
            take_usage=answer.report,
            take_delta=answer.show,
        )
        answer.start(turn)
        return answer

    def _secret(self, variable: str) -> Awaitable[str]:
        return named_steps.apart(self.runtime, partial(secrets.value_of, os.environ.get(variable, "").strip()))


def messages_of(question: Question) -> tuple[ChatMessage, ...]:
    """Return the messages of a question as an agent gets them. None is blank."""
    return tuple(
        ChatMessage(message.role.value, message.text or messages.NO_ANSWER, tuple(_calls(message)))
        for message in question.prompt
    )


def _calls(message: messages.PromptMessage) -> Iterator[Call]:
    answered = (each for step in message.calls for each in step.calls)
    for number, each in enumerate(answered):
        yield Call(f"{number}", each.call.name, each.call.arguments, "done", each.result)
