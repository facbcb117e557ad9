"""Messages of a prompt: what a user or the assistant said in a chat, with the calls of earlier replies. Pure.

What a tool has returned is the result of a call. It never becomes a text of the user or of the system.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Self

from handlers.chat.protocol import parts
from handlers.chat.protocol.frames import clean
from handlers.chat.protocol.stream import BREAK
from handlers.chat.records import Attachment, FinishReason, Message, Part, Role, ToolCall
from handlers.chat.replies.tool_calls import AnsweredCall, Step
from handlers.chat.settings import APOLOGIES

NO_RESULT = "The call has no result."
"""The result of a call in an earlier reply that ended before the call did."""

NO_ANSWER = "(The reply ended here.)"
"""The last text of an earlier reply that ended after its calls. Mistral refuses a message of the user right after a
result (github.com/NousResearch/hermes-agent/issues/20154)."""


@dataclass(frozen=True, slots=True)
class EarlierCalls:
    """The calls of one step of an earlier reply, with their results. `at` characters of the reply came before them."""

    at: int
    calls: tuple[AnsweredCall, ...]


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """A message of a prompt. `text` is all that its author said.

    A reply may have `calls` of tools, and a message of the user `attachments`.
    """

    role: Role
    text: str
    calls: tuple[EarlierCalls, ...] = ()
    attachments: tuple[Attachment, ...] = ()

    @classmethod
    def of(cls, message: Message) -> Self | None:
        """Return what the author of a stored message said: no control characters, no apology of ours.

        Returns None if that is nothing: a blank text, and no calls.
        """
        raw = _without_apology(message)
        said = clean(raw)
        said = said if said.strip() else ""
        calls = tuple(_calls(message, raw, len(said))) if message.parts else ()
        return cls(message.role, said, calls, message.attachments) if said or calls else None

    @property
    def texts(self) -> Iterator[str]:
        """The texts that the model reads."""
        if self.text:
            yield self.text
        for step in self.calls:
            for each in step.calls:
                yield each.call.name + each.call.arguments
                yield each.result

    @property
    def chars(self) -> int:
        """The number of their characters."""
        return sum(map(len, self.texts))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of a reply that had calls, each with the text before its calls."""
        starts = (0, *(step.at for step in self.calls))
        return tuple(
            Step(step.calls, self.text[start : step.at].strip(BREAK))
            for start, step in zip(starts, self.calls, strict=False)
        )

    @property
    def answer(self) -> str:
        """The text after the last calls, which is never blank."""
        rest = self.text[self.calls[-1].at :].strip(BREAK) if self.calls else self.text
        return rest if rest.strip() else NO_ANSWER

    def after(self, earlier: Self) -> Self:
        """Return one message for two of one author that come together."""
        before = f"{earlier.text}{BREAK}" if earlier.text and self.text else earlier.text
        moved = (replace(step, at=step.at + len(before)) for step in self.calls)
        attachments = (*earlier.attachments, *self.attachments)
        return replace(self, text=before + self.text, calls=(*earlier.calls, *moved), attachments=attachments)


def _without_apology(message: Message) -> str:
    text = message.content
    if message.role is Role.ASSISTANT and message.finish_reason is FinishReason.ERROR:
        for apology in APOLOGIES:
            text = text.removesuffix(apology)
        text = text.removesuffix(BREAK)
    return text


def _calls(message: Message, text: str, length: int) -> Iterator[EarlierCalls]:
    """Yield the calls of a stored reply. `length` is that of its text as it is cleaned."""
    units = text.encode("utf-16-le", "surrogatepass")
    for (offset, _), step in groupby(parts.in_prompt(message.parts), _step_of):
        before = units[: 2 * offset].decode("utf-16-le", "ignore")
        yield EarlierCalls(min(len(clean(before)), length), tuple(map(_answered, step)))


def _step_of(part: Part) -> tuple[int, str]:
    """Return what the calls of one step have in common: their place, and the ids of calls but for the last number."""
    return part.offset, part.call_id.rpartition("-")[0]


def _answered(part: Part) -> AnsweredCall:
    result = part.result if part.result and part.result.strip() else NO_RESULT
    return AnsweredCall(ToolCall(part.name, part.arguments), result)
