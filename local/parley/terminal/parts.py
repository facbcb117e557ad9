"""Parts of a reply beside its text, as lines for people."""

from __future__ import annotations

from collections.abc import Iterable

from parley.client.reply import Part
from parley.terminal.actions import Line, Style

MAX_CHARS = 100
"""Characters of arguments and results on a line. The chat's history has them in full."""

_STATES = {
    "running": "is called",
    "waiting": "waits for your approval, `/approve` or `/reject`",
    "error": "failed",
    "cancelled": "was cancelled",
}
_TEXTS = {"reasoning": "Thinking"}
"""The kinds that are text. A refusal is in the text of the reply too, which is shown."""


class PartLines:
    """Lines about the parts of one reply. A part that comes twice shows nothing new."""

    def __init__(self) -> None:
        self._shown: dict[int, Line] = {}
        self._texts: dict[int, Part] = {}
        self._told: dict[int, str] = {}
        self._names: dict[str, str] = {}

    def name_of(self, call_id: str) -> str:
        """Return the name of the tool of a call."""
        return self._names.get(call_id, "")

    def take(self, part: Part) -> list[Line]:
        """Return the lines about a part, if it says something new. Unknown kinds are ignored."""
        if part.kind in _TEXTS:
            # Its pieces wait until something else comes: a line for each would be hard to read.
            self._texts[part.index] = part
            return self.texts(but=part.index)
        lines = self.texts()
        if part.call_id is not None and part.name is not None:
            self._names[part.call_id] = part.name
        line = _line(part)
        if line is None or self._shown.get(part.index) == line:
            return lines
        self._shown[part.index] = line
        return [*lines, line]

    def texts(self, but: int | None = None) -> list[Line]:
        """Return the lines of the texts that have come and were not shown yet, except for one that may still grow."""
        lines = []
        for index, part in self._texts.items():
            text = part.text or ""
            fresh = text.removeprefix(self._told.get(index, ""))
            if fresh.strip() and index != but:
                self._told[index] = text
                lines.append(Line(f"{_TEXTS[part.kind]}: {fresh.strip()}"))
        return lines


def stored(parts: Iterable[Part]) -> list[Line]:
    """Return the lines of the parts of a stored message."""
    lines = []
    for part in parts:
        text = Line(f"{_TEXTS[part.kind]}: {part.text or ''}") if part.kind in _TEXTS else _line(part)
        lines += [text] if text else []
    return lines


def _line(part: Part) -> Line | None:
    """Return the line about a call of a tool or about a source. None for anything else."""
    match part.kind:
        case "tool_call":
            return _call(part)
        case "source":
            return Line(f"Source: {f'{part.title}, ' if part.title else ''}{part.url}")
    return None


def _call(part: Part) -> Line:
    name, state = part.name, part.state or ""
    if state == "done":
        return Line(f"Tool {name}: {_short(part.result or 'done')}")
    if state in ("error", "cancelled"):
        why = f": {_short(part.result)}" if part.result else ""
        return Line(f"Tool {name} {_STATES[state]}{why}", Style.ERROR)
    return Line(f"Tool {name} {_STATES.get(state, state)}: {_short(part.arguments or '')}")


def _short(text: str) -> str:
    """Return a text on one line that is short enough to be read at a glance."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_CHARS else f"{line[: MAX_CHARS - 1]}…"
