"""Briefing of the model for one turn: the messages of the chat, the assistant that answers, and its instructions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from handlers.chat.assistants import Assistant
from handlers.chat.concurrency import Runtime
from handlers.chat.log import logger
from handlers.chat.protocol.sizes import chars_of
from handlers.chat.replies import files, hooks, instructions
from handlers.chat.replies.attempt import Attempt, ReplySettings
from handlers.chat.replies.prompt import MAX_MESSAGES, Prompt, Question, attached, known_items, prompt, up_to_known
from handlers.chat.replies.screening import Screening
from handlers.chat.store import Store, StoreError, next_page
from handlers.chat.turns.lifecycle import Handover


@dataclass(frozen=True, slots=True)
class Briefing:
    """The briefing of models."""

    store: Store
    settings: ReplySettings
    runtime: Runtime
    screening: Screening

    def read_ahead(self, handover: Handover) -> Prompt | None:
        """Read the prompt of a turn that is still to be claimed. Returns None if the store fails.

        It ends before the reply, or before the one that this reply replaces. What is there was stored before the turn
        was handed over, and does not change.
        """
        before = handover.replaces or handover.message_id
        try:
            return self._read_prompt(handover.chat_id, before, handover.parent, handover.assistant, handover.chars)
        except StoreError:
            # Read again with the turn claimed: a failure there ends the attempt as it should.
            logger.exception("prompt_not_read_ahead")
            return None

    def prompt(self, attempt: Attempt) -> Prompt:
        """Return the prompt of a claimed turn, empty if its chat was deleted, and the messages with it."""
        turn, chat, ahead = attempt.turn, attempt.chat, attempt.prompt()
        handover = attempt.handover
        # A handover of an earlier version does not say what is replaced, and which assistant answers.
        told = handover.replaces, handover.parent, handover.assistant
        if ahead is None or told != (turn.replaces, turn.after, chat.assistant):
            before = turn.replaces or turn.message_id
            return self._read_prompt(chat.chat_id, before, turn.after, chat.assistant, ())
        return ahead

    def question(self, messages: Prompt, attempt: Attempt) -> Question | None:
        """Return the question with a prompt, None if the chat's assistant cannot be asked. Then a log event says why.

        Raises `StoreError`, and `Refusal` if the assistant does not take the question.
        """
        chat = attempt.chat
        assistant = self.settings.assistants.find(chat.assistant)
        if assistant is None:
            # Its file is gone or broken since the message was accepted.
            logger.error("assistant_missing", assistant=chat.assistant_id)
            return None
        try:
            messages = self.screening.prompt(messages, assistant, attempt)
            told = instructions.instructions_of(assistant, chat, self.store, self.screening.hooks, attempt.remaining)
        except hooks.HookFailed:
            return None
        return Question(messages, assistant, told, files=self._files(messages, attempt, assistant))

    def _files(self, messages: Prompt, attempt: Attempt, assistant: Assistant) -> files.Files:
        """Read the attachments that the model gets. Without any in the prompt, nothing is asked."""
        room = files.Room(self.settings.prompt_images, self._room(assistant))
        found = files.load(attached(messages), room, attempt.chat, self.store.attachments, self.runtime)
        return self.screening.files(found, assistant, attempt)

    def _room(self, assistant: Assistant | None) -> int:
        return (assistant and assistant.history_chars) or self.settings.history_chars

    def _read_prompt(
        self, chat_id: str, before: str, leaf: str | None, assistant_id: str | None, chars: Sequence[int]
    ) -> Prompt:
        """Read the prompt that ends with a message, `leaf`, or else before one.

        `chars` are the lengths of its messages as far as they are known.
        """
        assistant = self.settings.assistants.find(assistant_id)
        room = self._room(assistant)
        first = known = known_items(chars, room)
        if 0 < known == len(chars):
            # All that is known fits. What the next read would ask for then is asked for at once: nobody waits for two.
            first += next_page(known, sum(chars), room, MAX_MESSAGES)
        earlier = self.store.messages.newest_first(
            chat_id, before, leaf=leaf, most=MAX_MESSAGES, room=room, size=chars_of, first=first
        )
        return prompt(up_to_known(earlier, chars, known), room)
