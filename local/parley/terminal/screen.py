"""The terminal as the client uses it: lines and replies go out, lines of the user come in. All text is sanitized."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from rich.console import Console

from parley.terminal.keyboard import read_lines

PROMPT = "› "


def sanitize(text: str) -> str:
    """Remove all that could control the terminal: control characters except newline and tab, and lone surrogates."""
    return "".join(
        character for character in text if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs")
    )


class Screen(Protocol):
    """The output and the input of the client."""

    def show_prompt(self) -> None:
        """Show that a line is awaited."""

    def stream(self, text: str) -> None:
        """Append a piece of a reply."""

    def end(self) -> None:
        """End the reply's last line."""

    def line(self, text: str, style: str | None = None) -> None:
        """Write a text on lines of its own."""

    def lines(self, intercept: Callable[[str], bool], leave: Callable[[], object]) -> AsyncGenerator[str]:
        """Yield the lines of the user, until the end of input.

        Each one first goes to `intercept`, at once when it is entered. If that returns True, it is not yielded. A line
        editor calls `leave` at the end of input: whoever presses Ctrl-D waits for no reply.
        """

    def finish(self) -> None:
        """Put the cursor at the start of a line."""


def open_screen(console: Console) -> Screen:
    """Return a line editor with the conversation above it, or a plain screen where input or output is no terminal."""
    is_terminal = os.isatty(0) and console.is_terminal and not console.is_dumb_terminal
    if is_terminal and (sys.platform == "win32" or "TERM" in os.environ):
        # Not at the top: only a conversation in a terminal needs the editor.
        from parley.terminal.prompt import PromptScreen

        return PromptScreen(console)
    return PlainScreen(console)


class PlainScreen:
    """A screen for pipes, scripts and terminals that can do nothing but print. `keyboard` is a descriptor."""

    def __init__(self, console: Console, keyboard: int = 0) -> None:
        self._console = console
        self._keyboard = keyboard
        self._interactive = os.isatty(keyboard)
        self._wants_prompt = False
        self._at_prompt = False
        self._midline = False

    def show_prompt(self) -> None:
        """Show the prompt, and show it again after other output, until a line is entered."""
        self._wants_prompt = self._interactive
        self._prompt()

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

    async def lines(self, intercept: Callable[[str], bool], _: Callable[[], object]) -> AsyncGenerator[str]:
        """Yield the lines of the user that are not intercepted."""

        def is_taken(line: str) -> bool:
            taken = intercept(line)
            if taken and self._interactive:  # the terminal has shown the line, and begun a new one
                self._midline = False
            return taken

        async for line in read_lines(self._keyboard, is_taken):
            # The terminal has begun a new line.
            self._wants_prompt = self._at_prompt = self._midline = False
            yield line

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
