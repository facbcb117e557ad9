"""Hearing of one answer of a model: its text goes to the relay as it comes, and its calls are kept."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.chat.errors import ModelFailed
from handlers.chat.records import FinishReason, PartKind, ToolCall
from handlers.chat.replies.attempt import MAX_REPLY_BYTES, Attempt, Completion
from handlers.chat.replies.deltas import Delta
from handlers.chat.replies.messages import BREAK

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

    `completion` is that of the reply, if the answer ended now.
    """

    def __init__(self, attempt: Attempt, *, may_call: bool, shows_reasoning: bool) -> None:
        self.completion = Completion(FinishReason.STOP)
        self._relay = relay = attempt.relay
        self._journal = attempt.journal
        self._may_call = may_call
        self._shows_reasoning = shows_reasoning
        earlier = relay.text
        self._room = MAX_REPLY_BYTES - len(earlier.encode())
        # The answers of one reply are parted as two messages of one author are.
        self._break = BREAK if earlier else ""
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls: tuple[ToolCall, ...] = ()

    def add(self, delta: Delta) -> bool:
        """Take one more piece. Returns False if the reply is as long as it may be."""
        self._relay.reason(delta.reasoning if self._shows_reasoning else "")
        self._relay.reason(delta.refusal, PartKind.REFUSAL)
        self._refusal.append(delta.refusal)
        before = self._break if delta.text and not self._text else ""
        piece = _fitting(before + delta.text, self._room)
        cut = piece != before + delta.text
        self._room -= len(piece.encode())
        self._relay.add(piece)
        if said := piece[len(before) :]:
            self._text.append(said)
        self._reasoning.append(delta.reasoning)
        if self._may_call:
            self._calls = delta.calls or self._calls
        if delta.part is not None:
            self._journal.show(delta.part)
        self.completion = self.completion.after(delta.finish_reason, delta.usage, cut=cut)
        return not cut

    def check(self) -> None:
        """Raise `ModelFailed` if the reply would have ended, and nobody has said anything in it.

        A refusal without a text becomes the text too: a client may ignore parts, and the text is whole without them.
        """
        if self._relay.text or self._calls:
            return
        if refusal := "".join(self._refusal):
            self.add(Delta(refusal))
        elif self.completion.finish_reason is FinishReason.STOP:
            raise ModelFailed("the model said nothing")

    def said(self) -> Said:
        """Return the answer."""
        reasoning = "".join(self._reasoning)[:MAX_REASONING_CHARS]
        calls = self._calls if self.completion.finish_reason is FinishReason.STOP else ()
        return Said(self.completion, "".join(self._text), reasoning, calls)


def _fitting(text: str, room: int) -> str:
    """Return as much of a text as fits into `room` bytes of UTF-8."""
    encoded = text.encode()
    return text if len(encoded) <= room else encoded[: max(0, room)].decode(errors="ignore")
