"""Parts of a reply beside its text, as lines for people."""

from __future__ import annotations

from collections.abc import Iterable

from parley.client.actions import Line, Style
from parley.client.frames import Frame
from parley.client.reply import Reply

MAX_CHARS = 100
"""Characters of arguments and results on a line. The chat's history has them in full."""

_STATES = {
    "running": "is called",
    "waiting": "waits for your approval",
    "error": "failed",
    "cancelled": "was cancelled",
}
_TEXTS = {"reasoning": "Thinking"}
"""The kinds that are text. A refusal is in the text of the reply too, which is shown."""


class Parts:
    """Parts of one reply as far as they have arrived. A frame that comes twice shows nothing new."""

    def __init__(self) -> None:
        self._shown: dict[int, Line] = {}
        self._texts: dict[int, Reply] = {}
        self._told: dict[int, str] = {}
        self._kinds: dict[int, str] = {}

    def take(self, frame: Frame) -> list[Line]:
        """Take a frame with a part. Return the line about it, if it says something new. Unknown kinds are ignored."""
        index, part = frame.number("index"), frame.part()
        kind = part.text("kind")
        if kind in _TEXTS:
            # Its pieces wait until something else comes: a line for each would be hard to read.
            self._kinds[index] = kind
            text = self._texts.setdefault(index, Reply("", 1))
            text.take(1, part.number("textOffset") if "textOffset" in part.data else 0, part.text("text"))
            return [*self.texts(but=index)]
        lines = self.texts()
        line = _line(part)
        if line is None or self._shown.get(index) == line:
            return lines
        self._shown[index] = line
        return [*lines, line]

    def texts(self, but: int | None = None) -> list[Line]:
        """Return the lines of the texts that have come and were not shown yet, except for one that may still grow."""
        lines = []
        for index, text in self._texts.items():
            fresh = text.text.removeprefix(self._told.get(index, ""))
            if fresh.strip() and index != but:
                self._told[index] = text.text
                lines.append(Line(f"{_TEXTS[self._kinds[index]]}: {fresh.strip()}"))
        return lines


def stored(parts: Iterable[Frame]) -> list[Line]:
    """Return the lines of the parts of a stored message."""
    lines = []
    for part in parts:
        kind = part.optional("kind") or ""
        text = Line(f"{_TEXTS[kind]}: {part.optional('text') or ''}") if kind in _TEXTS else _line(part)
        lines += [text] if text else []
    return lines


def _line(part: Frame) -> Line | None:
    """Return the line about a call of a tool or about a source. None for anything else."""
    match part.optional("kind"):
        case "tool_call":
            return _call(part)
        case "source":
            title = part.optional("title")
            return Line(f"Source: {f'{title}, ' if title else ''}{part.text('url')}")
    return None


def _call(part: Frame) -> Line:
    name, state = part.text("name"), part.text("state")
    if state == "done":
        return Line(f"Tool {name}: {_short(part.optional('result') or 'done')}")
    if state in ("error", "cancelled"):
        why = part.optional("result")
        return Line(f"Tool {name} {_STATES[state]}{f': {_short(why)}' if why else ''}", Style.ERROR)
    return Line(f"Tool {name} {_STATES.get(state, state)}: {_short(part.optional('arguments') or '')}")


def _short(text: str) -> str:
    """Return a text on one line that is short enough to be read at a glance."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_CHARS else f"{line[: MAX_CHARS - 1]}…"
