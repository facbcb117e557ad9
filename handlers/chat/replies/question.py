"""Question: everything that the model is asked with in one turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from handlers.chat.assistants import Assistant
from handlers.chat.replies.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, and the assistant that is to answer it with its instructions, which are empty if there are none."""

    prompt: Prompt
    assistant: Assistant = field(default_factory=Assistant)
    instructions: str = ""

    @property
    def texts(self) -> Iterator[str]:
        """The texts that the model reads."""
        if self.instructions:
            yield self.instructions
        yield from (text for _, text in self.prompt)
