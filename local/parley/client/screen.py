"""Output on the terminal: a prompt, the streaming reply, and lines between them."""

from __future__ import annotations

import unicodedata

from rich.console import Console

PROMPT = "› "


def sanitize(text: str) -> str:
    """Remove all that could control the terminal: control characters except newline and tab, and lone surrogates."""
    return "".join(
        character for character in text if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs")
    )


class Screen:
    """Writes to the console, and keeps prompt, stream and lines apart. All text is sanitized here."""

    def __init__(self, console: Console, *, interactive: bool) -> None:
        self._console = console
        self._interactive = interactive
        self._wants_prompt = False
        self._at_prompt = False
        self._midline = False

    def show_prompt(self) -> None:
        """Show the prompt, and show it again after other output, until `line_entered`."""
        self._wants_prompt = self._interactive
        self._prompt()

    def line_entered(self) -> None:
        """Record that the user has entered a line: the terminal has begun a new one."""
        self._wants_prompt = self._at_prompt = False
        self._midline = False

    def line_echoed(self) -> None:
        """Record that the user has entered a line during other output: a terminal has shown it there."""
        self._midline = self._midline and not self._interactive

    def stream(self, text: str) -> None:
        """Append a piece of a reply."""
        text = sanitize(text)
        if self._at_prompt:
            self._fresh_line()
        if text:
            self._write(text)
            self._midline = not text.endswith("\n")

    def end(self) -> None:
        """End the reply's last line."""
        self._fresh_line()
        self._prompt()

    def line(self, text: str, style: str | None = None) -> None:
        """Write a text on lines of its own."""
        self._fresh_line()
        self._write(sanitize(text) + "\n", style)
        self._prompt()

    def finish(self) -> None:
        """Put the cursor at the start of a line."""
        self._wants_prompt = False
        self._fresh_line()

    def _prompt(self) -> None:
        if self._wants_prompt:
            self._fresh_line()
            self._write(PROMPT, "bold cyan")
            self._at_prompt = self._midline = True

    def _fresh_line(self) -> None:
        if self._midline:
            self._write("\n")
        self._at_prompt = self._midline = False

    def _write(self, text: str, style: str | None = None) -> None:
        self._console.out(text, style=style, highlight=False, end="")
