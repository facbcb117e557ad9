"""Titles of chats by a model: after the first reply is stored and announced, so that nobody waits for them.

A title takes the place of the automatic one, never of one that a user has given.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from handlers.chat.assistants import Assistant
from handlers.chat.concurrency import Runtime
from handlers.chat.log import logger
from handlers.chat.protocol import frames
from handlers.chat.records import FinishReason, Role
from handlers.chat.replies import llm, messages, prompt, spending
from handlers.chat.replies.attempt import Attempt, Completion, ReplySettings
from handlers.chat.replies.model import AnyModel
from handlers.chat.store import Store
from handlers.chat.turns import lifecycle

REQUEST = (
    "Write a title for this conversation: at most six words, in its language, without quotation marks. "
    "Answer with the title alone."
)
TITLE_SECONDS = 10.0
"""The longest wait for a title."""

MAX_TITLE_TOKENS = 100
_RESERVE_SECONDS = 5.0
_QUESTION_CHARS, _REPLY_CHARS = 2_000, 1_000
_ENDED = (FinishReason.STOP, FinishReason.LENGTH)
_AROUND = " \t\n\"'`*#«»“”„."


@dataclass(frozen=True, slots=True)
class Titles:
    """The titles of chats. Without `TITLE_MODEL` the automatic ones stay, and nothing is asked.

    `send_to_user` sends a frame to all connections of a user.
    """

    store: Store
    model: AnyModel
    settings: ReplySettings
    runtime: Runtime
    budget: spending.Spending
    send_to_user: Callable[[str, frames.ServerFrame], None]

    def replace(self, attempt: Attempt, completion: Completion, question: str, automatic: str | None) -> None:
        """Give a chat a title by the model, if its `automatic` one is of this turn. Never raises: then that one stays.

        `question` is the first message of the user.
        """
        if not self.settings.title_model or automatic is None or completion.finish_reason not in _ENDED:
            return
        seconds = min(TITLE_SECONDS, attempt.remaining() - _RESERVE_SECONDS)
        if seconds <= 0:
            return
        try:
            title = self._made(attempt, question, seconds)
            if title and self._changed(attempt, automatic, title):
                logger.info("title_made")
        except Exception:
            logger.exception("title_not_made")

    def _made(self, attempt: Attempt, question: str, seconds: float) -> str:
        """Return what the model calls the conversation, an empty text if it says nothing in time."""
        asked = self._question(question, attempt.relay.text)
        bill = self.budget.reserve(attempt, asked.texts, MAX_TITLE_TOKENS)
        if bill is None:
            return ""
        heard: list[str] = []
        answered: list[bool] = []
        try:
            with closing(self.model.answer(asked)) as answer:
                hear = partial(self._hear, answer, bill, heard, answered)
                self.runtime.start(hear, name="title").join(seconds)
                in_time = bool(answered)  # before it is closed, which ends it too
        finally:
            self.budget.settle(attempt, bill)
        if not in_time:
            logger.warning("title_not_made", reason="the model took too long")
            return ""
        return lifecycle.title_of(frames.clean("".join(heard)).strip(_AROUND))

    def _hear(self, answer: llm.ModelAnswer, bill: spending.Bill, heard: list[str], answered: list[bool]) -> None:
        try:
            for delta in answer:
                bill.add(delta, self.runtime.now())
                heard.append(delta.text)
            answered.append(True)
        except Exception:
            logger.warning("title_failed", exc_info=True)

    def _question(self, question: str, reply: str) -> prompt.Question:
        said = (
            messages.PromptMessage(Role.USER, question[:_QUESTION_CHARS]),
            messages.PromptMessage(Role.ASSISTANT, reply[:_REPLY_CHARS]),
            messages.PromptMessage(Role.USER, REQUEST),
        )
        model = self.settings.title_model or None
        return prompt.Question(said, Assistant(model=model, max_completion_tokens=MAX_TITLE_TOKENS))

    def _changed(self, attempt: Attempt, automatic: str, title: str) -> bool:
        """Store a title if the chat has the automatic one still, and tell the user's devices."""
        chat = attempt.chat
        if not self.store.chats.retitle(chat.user_id, chat.chat_id, automatic, title):
            return False
        self.send_to_user(chat.user_id, frames.ChatUpdated(chat_id=chat.chat_id, title=title))
        return True
