"""Hearing of one answer of a model: its text goes to the relay as it comes, and its calls are kept."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.chat.errors import ModelFailed
from handlers.chat.records import FinishReason, ToolCall
from handlers.chat.replies.attempt import MAX_REPLY_BYTES, Completion
from handlers.chat.replies.deltas import Delta
from handlers.chat.replies.messages import BREAK
from handlers.chat.replies.relay import Relay

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

    def __init__(self, relay: Relay, *, may_call: bool, shows_reasoning: bool) -> None:
        self.completion = Completion(FinishReason.STOP)
        self._relay = relay
        self._may_call = may_call
        self._shows_reasoning = shows_reasoning
        earlier = relay.text
        self._room = MAX_REPLY_BYTES - len(earlier.encode())
        # The answers of one reply are parted as two messages of one author are.
        self._break = BREAK if earlier else ""
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: tuple[ToolCall, ...] = ()

    def add(self, delta: Delta) -> bool:
        """Take one more piece. Returns False if the reply is as long as it may be."""
        self._relay.reason(delta.reasoning if self._shows_reasoning else "")
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
        self.completion = self.completion.after(delta.finish_reason, delta.usage, cut=cut)
        return not cut

    def check(self) -> None:
        """Raise `ModelFailed` if the reply would have ended, and nobody has said anything in it."""
        if self.completion.finish_reason is FinishReason.STOP and not self._calls and not self._relay.text:
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
