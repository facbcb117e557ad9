"""What the user sees: a prompt, the reply as it streams, and lines of their own between them."""

from __future__ import annotations

import unicodedata

from rich.console import Console

PROMPT = "› "


def clean(text: str) -> str:
    """Remove what could command the terminal: all control characters but newline and tab, and lone surrogates."""
    return "".join(
        character for character in text if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs")
    )


class Screen:
    """Writes to the console, and keeps prompt, stream and lines apart. Everything written is cleaned here."""

    def __init__(self, console: Console, *, interactive: bool) -> None:
        self._console = console
        self._interactive = interactive
        self._asking = False
        self._prompted = False
        self._midline = False

    def ask(self) -> None:
        """Show the prompt, and again after whatever comes in between, until `answered`."""
        self._asking = self._interactive
        self._prompt()

    def answered(self) -> None:
        """Note that the user has entered a line: the terminal has begun a new one."""
        self._asking = self._prompted = False
        self._midline = False

    def echoed(self) -> None:
        """Note that the user has entered a line in the middle of something: a terminal has shown it there."""
        self._midline = self._midline and not self._interactive

    def stream(self, text: str) -> None:
        """Append a piece of a reply."""
        text = clean(text)
        if self._prompted:
            self._fresh_line()
        if text:
            self._write(text)
            self._midline = not text.endswith("\n")

    def end(self) -> None:
        """End the reply's last line."""
        self._fresh_line()
        self._prompt()

    def line(self, text: str, style: str | None = None) -> None:
        """Write something on lines of its own."""
        self._fresh_line()
        self._write(clean(text) + "\n", style)
        self._prompt()

    def leave(self) -> None:
        """Leave the cursor at the start of a line."""
        self._asking = False
        self._fresh_line()

    def _prompt(self) -> None:
        if self._asking:
            self._fresh_line()
            self._write(PROMPT, "bold cyan")
            self._prompted = self._midline = True

    def _fresh_line(self) -> None:
        if self._midline:
            self._write("\n")
        self._prompted = self._midline = False

    def _write(self, text: str, style: str | None = None) -> None:
        self._console.out(text, style=style, highlight=False, end="")
