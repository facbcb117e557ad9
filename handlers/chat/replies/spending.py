"""Spending: the model's tokens of an attempt, reserved before the model is asked, and settled after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from handlers.chat.concurrency import Runtime
from handlers.chat.limits import budget
from handlers.chat.limits.budget import Reservation
from handlers.chat.log import logger
from handlers.chat.records import Usage
from handlers.chat.replies.attempt import Attempt, ReplySettings
from handlers.chat.store import Store, StoreError
from handlers.chat.turns.lifecycle import write_then_verify


@dataclass(slots=True)
class Bill:
    """The tokens of one question to the model, counted while the answer comes. `prompt` is the estimate of the prompt.

    `reservation` is None if the user has no budget.
    """

    prompt: int
    reservation: Reservation | None = None
    _text: int = 0
    _usage: Usage | None = None
    _text_after_usage: bool = False

    def add(self, text: str, usage: Usage | None) -> None:
        """Add a piece of the answer, and the model's tokens up to its end, if the server has counted them."""
        self._text += budget.estimate_text(text)
        if usage is not None:
            self._usage, self._text_after_usage = usage, False
        elif text:
            self._text_after_usage = True

    @property
    def tokens(self) -> int:
        """The tokens as the server counted them. A number that it did not count, or that cannot be, is estimated."""
        prompt = self._usage.prompt_tokens if self._usage else 0
        completion = self._usage.completion_tokens if self._usage else 0
        if prompt <= 0:
            prompt = self.prompt
        if completion <= 0 or self._text_after_usage:
            completion = max(completion, self._text)
        return prompt + completion


@dataclass(frozen=True, slots=True)
class Spending:
    """The spending of the model's tokens. Users without a budget cost no read and no write."""

    store: Store
    settings: ReplySettings
    runtime: Runtime

    def reserve(self, attempt: Attempt, prompt: Iterable[str]) -> Bill | None:
        """Reserve the most tokens that an answer to this prompt can take, and open its bill.

        Returns None if the user's tokens of the day are used up. Then the model must not be asked.
        """
        bill = Bill(budget.estimate_prompt(prompt))
        if not self.settings.tokens_per_day:
            return bill
        turn = attempt.turn
        reservation = bill.reservation = Reservation.of(
            f"{turn.message_id}#{turn.attempt}",
            bill.prompt + self.settings.max_completion_tokens,
            self.runtime.now(),
            attempt.remaining(),
        )
        users, user_id = self.store.users, attempt.chat.user_id
        reserved = write_then_verify(
            lambda: users.reserve_tokens(user_id, reservation, self.settings.tokens_per_day),
            lambda: reservation in users.token_use(user_id, reservation.day).reservations,
        )
        if not reserved:
            logger.info("tokens_used_up")
        return bill if reserved else None

    def settle(self, attempt: Attempt, bill: Bill) -> None:
        """Book what the answer took, in place of its reservation, whatever became of the answer.

        Never raises: if the store fails, the reservation stays booked, which is never too little.
        """
        # A worker that is killed does not come here, and nobody knows how much its model wrote. So its reservation
        # counts until the day ends. The next attempt reserves for itself.
        if bill.reservation is None:
            return
        try:
            self.store.users.settle_tokens(attempt.chat.user_id, bill.reservation, bill.tokens)
        except StoreError:
            logger.exception("tokens_not_settled")
