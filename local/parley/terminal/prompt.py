"""A line editor at the bottom of the terminal, and the conversation above it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent
from prompt_toolkit.output import Output
from prompt_toolkit.output.defaults import create_output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.shortcuts import PromptSession
from rich.console import Console

from parley.terminal.actions import Style
from parley.terminal.rows import rows
from parley.terminal.screen import PROMPT, sanitize


class PromptScreen:
    """A screen with a line editor. What is written appears above it, whatever the user is typing.

    A reply is written row by row. Its last row, which is not complete, belongs to what the editor paints.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last_row = ""
        self._entered: Callable[[str], None] = lambda line: None
        self._editor: PromptSession[str] = PromptSession(
            self._painted, key_bindings=self._keys(), erase_when_done=True, enable_suspend=True, output=_output()
        )

    def show_prompt(self) -> None:
        """Do nothing: the editor is there all the time."""

    def stream(self, text: str) -> None:
        """Append a piece of a reply."""
        *complete, self._last_row = self._rows(self._last_row + sanitize(text))
        self._write("".join(f"{row}\n" for row in complete))

    def end(self) -> None:
        """End the reply's last line."""
        last, self._last_row = self._last_row, ""
        if last:
            self._write(f"{last}\n")

    def line(self, text: str, style: str | None = None) -> None:
        """Write a text on lines of its own."""
        self.end()
        self._write("".join(f"{row}\n" for row in self._rows(sanitize(text))), style)

    async def lines(self, intercept: Callable[[str], bool], leave: Callable[[], object]) -> AsyncGenerator[str]:
        """Yield the lines of the user that are not intercepted."""
        arrived: asyncio.Queue[str | None] = asyncio.Queue()

        def entered(line: str) -> None:
            if line.strip():
                self.line(PROMPT + line, Style.USER.value)
                if not intercept(line):
                    arrived.put_nowait(line)

        self._entered = entered
        editing = asyncio.create_task(self._edit(leave))
        editing.add_done_callback(lambda _: arrived.put_nowait(None))
        try:
            while (line := await arrived.get()) is not None:
                yield line
            await editing
        finally:
            editing.cancel()
            await asyncio.gather(editing, return_exceptions=True)

    def finish(self) -> None:
        """Put the cursor at the start of a line."""
        self.end()

    async def _edit(self, leave: Callable[[], object]) -> None:
        """Let the user type until the end of input: Ctrl-D, or the end of the terminal."""
        with suppress(EOFError, OSError):
            # SIGINT stays with the client: it also comes from outside.
            await self._editor.prompt_async(handle_sigint=False, set_exception_handler=False)
        leave()

    def _rows(self, text: str) -> list[str]:
        return rows(text, self._editor.output.get_size().columns)

    def _painted(self) -> StyleAndTextTuples:
        """Return what the editor paints before the user's text."""
        above = [("", f"{self._last_row}\n")] if self._last_row else []
        return [*above, ("bold ansicyan", PROMPT)]

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        typing = has_focus(DEFAULT_BUFFER)

        @keys.add("enter", filter=typing)
        def enter(event: KeyPressEvent) -> None:
            line = event.current_buffer.text
            event.current_buffer.append_to_history()
            event.current_buffer.reset()
            self._entered(line)

        @keys.add("c-c", filter=typing)
        def interrupt(event: KeyPressEvent) -> None:
            # The editor reads keys without the terminal's help, which would send this signal.
            signal.raise_signal(signal.SIGINT)

        return keys

    def _write(self, text: str, style: str | None = None) -> None:
        """Write whole lines where the editor is now. It paints itself again below them."""
        editor = self._editor.app
        if text:
            if editor.is_running:
                editor.renderer.erase()
            self._console.out(text, style=style, highlight=False, end="")
        editor.invalidate()


def _output() -> Output:
    output = create_output()
    if isinstance(output, Vt100_Output):
        # The editor would ask where the cursor is, to find room for menus. It has none, and not all terminals answer.
        output.enable_cpr = False
    return output
