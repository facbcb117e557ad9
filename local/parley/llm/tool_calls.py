"""Tool calls of the built-in model: the user's message says which, so that everything works without a real model.

A message that begins with `/tool` or `/loop` has one command in each line:

- `/tool NAME {"a": 1}`: calls a tool. Several of them are parallel calls. The arguments are sent as they are.
- `/then`: the calls after it are made when those before it have their results.
- `/loop NAME {"a": 1}`: calls a tool again after each result, for ever.

Other lines are said before the calls of their step. After the last step the model says what the tools returned.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_COMMAND = re.compile(r"/(tool|loop)[ \t]+(\S+)[ \t]*(.*)")
_THEN = "/then"


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool. `arguments` is JSON, if all is well."""

    name: str
    arguments: str
    id: str = ""

    def message(self) -> dict[str, Any]:
        """Return the call as an object of the API."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


@dataclass(slots=True)
class Step:
    """The text and the calls of one answer. With `again` it is the same after each result."""

    text: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    again: bool = False


def step(question: str, number: int) -> Step | None:
    """Return what a question tells the model to call after so many steps. None if there is nothing more to call."""
    if not _COMMAND.match(question.lstrip()):
        return None
    steps = _steps(question.splitlines())
    if number >= len(steps) and steps[-1].again:
        return steps[-1]
    return steps[number] if number < len(steps) else None


def _steps(lines: Sequence[str]) -> list[Step]:
    steps = [Step()]
    for line in filter(None, map(str.strip, lines)):
        if line == _THEN:
            steps.append(Step())
        elif command := _COMMAND.fullmatch(line):
            steps[-1].calls.append(Call(command[2], command[3] or "{}"))
            steps[-1].again = steps[-1].again or command[1] == "loop"
        else:
            steps[-1].text.append(line)
    return [each for each in steps if each.calls]
