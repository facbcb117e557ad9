"""Spending: the model's tokens of an attempt, reserved before the model is asked, and settled after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from handlers.chat.concurrency import Runtime
from handlers.chat.limits import budget
from handlers.chat.limits.budget import Reservation
from handlers.chat.log import logger
from handlers.chat.records import Usage
from handlers.chat.replies.attempt import Attempt, ReplySettings
from handlers.chat.replies.deltas import Delta
from handlers.chat.store import Store, StoreError
from handlers.chat.turns.lifecycle import write_then_verify


@dataclass(slots=True)
class Bill:
    """The tokens of one question to the model, counted while the answer comes.

    `prompt` is the estimate of the prompt, `longest` the most tokens that the answer may have. `reservation` is None if
    the user has no budget. With `billed` False the question was refused, or never sent: it took nothing.
    """

    prompt: int
    longest: int
    asked_at: datetime
    reservation: Reservation | None = None
    billed: bool = True
    _text: int = 0
    _thinking: int = 0
    _text_at: datetime | None = None
    _usage: Usage | None = None
    _more_after_usage: bool = False
    _ended: bool = False

    def add(self, delta: Delta, now: datetime) -> None:
        """Add a piece of the answer, which has come now."""
        self._text += budget.estimate_text(delta.text)
        self._thinking += delta.thinking
        if delta.text and self._text_at is None:
            self._text_at = now
        self._ended = self._ended or delta.finish_reason is not None
        if delta.usage is not None:
            self._usage, self._more_after_usage = delta.usage, False
        elif delta.text or delta.thinking:
            self._more_after_usage = True

    def tokens(self, now: datetime) -> int:
        """Return the tokens of the question and of the answer until now, as the server counted them.

        A number that it did not count, or that cannot be, is estimated.
        """
        if not self.billed:
            return 0
        prompt = self._usage.prompt_tokens if self._usage else 0
        return (prompt if prompt > 0 else self.prompt) + self._completion(now)

    def _completion(self, now: datetime) -> int:
        counted = self._usage.completion_tokens if self._usage else 0
        # A count before the end is good for what had come by then. A model that has written nothing may still think.
        if counted > 0 and not self._more_after_usage and (self._ended or self._text_at):
            return counted
        wait = ((self._text_at or now) - self.asked_at).total_seconds()
        return max(counted, budget.estimate_answer(self._text, self._thinking, wait, self.longest))


@dataclass(slots=True)
class AgentBill(Bill):
    """The tokens of an own agent's reply: those that it has reported.

    One that did not come to its end may not have reported everything: then it took no less than the estimate of the
    prompt and of what it has said.
    """

    def tokens(self, now: datetime) -> int:
        """Return the tokens that the agent's models have taken until now."""
        usage = self._usage or Usage(0, 0)
        reported = usage.prompt_tokens + usage.completion_tokens
        if self._ended or not self.billed:
            return reported
        return max(reported, self.prompt + self._text + self._thinking)


@dataclass(frozen=True, slots=True)
class Spending:
    """The spending of the model's tokens. Users without a budget cost no read and no write."""

    store: Store
    settings: ReplySettings
    runtime: Runtime

    def reserve(
        self, attempt: Attempt, prompt: Iterable[str], longest: int, kind: type[Bill] = Bill, images: int = 0
    ) -> Bill | None:
        """Reserve the most tokens that an answer to this prompt can take, and open its bill.

        `longest` is the most tokens that the answer may have, `kind` the bill's. Returns None if the
        user's tokens of the day are used up. Then the model must not be asked.
        """
        bill = kind(budget.estimate_prompt(prompt, images), longest, self.runtime.now())
        if not self.settings.tokens_per_day:
            return bill
        turn, step = attempt.turn, len(attempt.journal.steps)
        reservation = bill.reservation = Reservation.of(
            f"{turn.message_id}#{turn.attempt}" + (f".{step}" if step else ""),
            bill.prompt + bill.longest,
            bill.asked_at,
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
            self.store.users.settle_tokens(attempt.chat.user_id, bill.reservation, bill.tokens(self.runtime.now()))
        except StoreError:
            logger.exception("tokens_not_settled")
