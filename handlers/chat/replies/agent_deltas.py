"""Deltas of own agents in, deltas as the worker hears them out. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from types import FrameType
from typing import Self

from handlers.chat import assistants
from handlers.chat.limits import budget
from handlers.chat.protocol.frames import clean
from handlers.chat.protocol.parts import whole_characters
from handlers.chat.records import Part, PartKind, PartState
from handlers.chat.replies.deltas import Delta


class WrongReply(TypeError):
    """A value that an agent must not yield or return. The text says what to write instead.

    `place` is the line that has yielded it, empty if that is not known.
    """

    place = ""

    def at(self, frame: FrameType | None) -> Self:
        """Return it with the line at which an agent stands now."""
        self.place = f"{PurePath(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else ""
        return self


def checked(said: object) -> assistants.Delta:
    """Return what an agent has yielded as a delta. Raises `WrongReply` if it is none."""
    if isinstance(said, str):
        said = assistants.Delta(said)
    if not isinstance(said, assistants.Delta):
        raise WrongReply(f"reply yields a value of the type {type(said).__name__}; yield a Delta or a text")
    return said


def heard(said: assistants.Delta) -> Iterator[Delta]:
    """Yield what an agent has said as the worker hears it."""
    reasoning, refusal = _clean(said.reasoning), _clean(said.refusal)
    delta = Delta(
        _clean(said.text),
        reasoning=reasoning,
        refusal=refusal,
        thinking=budget.estimate_text(reasoning + refusal),
    )
    if delta.text or delta.reasoning or delta.refusal:
        yield delta
    if (source := said.source) is not None:
        part = Part(PartKind.SOURCE, url=_clean(source.url), name=_clean(source.title), text=_clean(source.text))
        yield Delta(part=part)
    if (call := said.call) is not None:
        yield Delta(
            part=Part(
                PartKind.TOOL_CALL,
                call_id=call.id,
                name=_clean(call.name),
                arguments=_clean(call.arguments_text),
                state=PartState(call.state),
                result=None if call.result is None else _clean(call.result),
            )
        )


def _clean(text: str) -> str:
    return clean(whole_characters(text))
