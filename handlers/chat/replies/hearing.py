"""Hearing of one answer of a model: its text goes to the relay as it comes, and its calls are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from handlers.chat.assistants import Refusal
from handlers.chat.errors import ModelFailed
from handlers.chat.log import logger
from handlers.chat.records import FinishReason, PartKind, ToolCall
from handlers.chat.replies.attempt import MAX_REPLY_BYTES, Attempt, Completion
from handlers.chat.replies.deltas import Delta
from handlers.chat.replies.hooks import HookFailed
from handlers.chat.replies.messages import BREAK
from handlers.chat.replies.screen import Screen

MAX_REASONING_CHARS = 64 * 1024
"""Characters of the reasoning that is kept with a step, for servers that want it back."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer of the model: its text, its calls, and the completion of the reply if it was the last one."""

    completion: Completion
    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()


class Hearing:
    """The hearing of one answer. Calls of a model that may not call are ignored.

    `completion` is that of the reply, if the answer ended now. `screen` makes a new screen for a text, or returns None
    if nothing is screened. `refusal` is what the user reads if a screen ends the reply before it has any text.
    """

    def __init__(
        self,
        attempt: Attempt,
        *,
        may_call: bool,
        shows_reasoning: bool,
        screen: Callable[[], Screen | None] = lambda: None,
        refusal: str = "",
    ) -> None:
        self.completion = Completion(FinishReason.STOP)
        self._relay = relay = attempt.relay
        self._journal = attempt.journal
        self._may_call = may_call
        self._shows_reasoning = shows_reasoning
        self._screen, self._reasoning_screen = screen(), screen()
        self._default_refusal = refusal
        earlier = relay.text
        self._room = MAX_REPLY_BYTES - len(earlier.encode())
        # The answers of one reply are parted as two messages of one author are.
        self._break = BREAK if earlier else ""
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._stopped = False
        self._calls: tuple[ToolCall, ...] = ()

    def add(self, delta: Delta) -> bool:
        """Take one more piece. Returns False if the reply ends with it, because of its length or of a hook."""
        self._reasoning.append(delta.reasoning)
        if self._may_call:
            self._calls = delta.calls or self._calls
        self.completion = self.completion.after(delta.finish_reason, delta.usage, cut=False)
        return self._screened(lambda: self._hear(delta))

    def end(self) -> None:
        """Take note that no more comes. Raises `ModelFailed` if nobody has said anything in the reply."""
        if self._screened(self._hear_rest) and self._is_silent():
            raise ModelFailed("the model said nothing")

    def show_rest(self) -> None:
        """Show what was held back of an answer that has failed."""
        self._screened(self._hear_rest)

    def said(self) -> Said:
        """Return the answer."""
        reasoning = "".join(self._reasoning)[:MAX_REASONING_CHARS]
        calls = self._calls if self.completion.finish_reason is FinishReason.STOP else ()
        return Said(self.completion, "".join(self._text), reasoning, calls)

    def _screened(self, hear: Callable[[], bool]) -> bool:
        """Hear something. If a hook does not let it through, end the reply."""
        if self._stopped:
            return False
        try:
            return hear()
        except (Refusal, HookFailed) as failure:
            self._stopped = True
            logger.info("answer_stopped", length=len(self._relay.text))
            self.completion = replace(self.completion, finish_reason=FinishReason.CONTENT_FILTER)
            said = str(failure) if isinstance(failure, Refusal) else ""
            self._refuse(said or ("" if self._relay.text else self._default_refusal))
            return False

    def _hear(self, delta: Delta) -> bool:
        if self._shows_reasoning and (delta.reasoning or self._reasoning_screen):
            self._reason(delta)
        if delta.refusal:
            self._refusal.append(delta.refusal)
            if not self._screen:
                self._relay.reason(delta.refusal, PartKind.REFUSAL)
        whole = self._add(self._screen.add(delta.text) if self._screen else delta.text)
        if delta.part is not None:
            self._journal.show(delta.part)
        return whole

    def _reason(self, delta: Delta) -> None:
        screen = self._reasoning_screen
        shown = screen.add(delta.reasoning) if screen else delta.reasoning
        if screen and (delta.text or delta.refusal):
            shown += screen.end()  # the text that comes now is after all of it
        self._relay.reason(shown)

    def _hear_rest(self) -> bool:
        """Hear what was held back. The text of a refusal is text too: clients may ignore parts."""
        refusal, self._refusal = "".join(self._refusal), []
        if self._reasoning_screen and self._shows_reasoning:
            self._relay.reason(self._reasoning_screen.end())
        whole = self._add(self._screen.end()) if self._screen else True
        if refusal and self._screen:
            self._refuse(self._screen.add(refusal) + self._screen.end())
        elif refusal:
            self._add_apart(refusal)
        return whole

    def _refuse(self, text: str) -> None:
        """Show a refusal, as a part and as text."""
        self._relay.reason(text, PartKind.REFUSAL)
        self._add_apart(text)

    def _add_apart(self, text: str) -> None:
        """Add a text that is parted from what the answer has said before."""
        self._add(f"{BREAK}{text}" if text and self._text else text)

    def _add(self, text: str) -> bool:
        """Add a piece of the text. Returns False if the reply is as long as it may be."""
        before = self._break if text and not self._text else ""
        piece = _fitting(before + text, self._room)
        self._room -= len(piece.encode())
        if piece:
            self._relay.add(piece)
        if said := piece[len(before) :]:
            self._text.append(said)
        cut = piece != before + text
        if cut:
            self.completion = self.completion.after(None, None, cut=True)
        return not cut

    def _is_silent(self) -> bool:
        """Return True if the reply would have ended, and nobody has said anything in it."""
        return self.completion.finish_reason is FinishReason.STOP and not self._calls and not self._relay.text


def _fitting(text: str, room: int) -> str:
    """Return as much of a text as fits into `room` bytes of UTF-8."""
    encoded = text.encode()
    return text if len(encoded) <= room else encoded[: max(0, room)].decode(errors="ignore")
