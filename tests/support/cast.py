"""An animated picture of a terminal: a program runs in it, keys are pressed, and its screen becomes an SVG.

The SVG needs no script: each frame is shown at its time by an animation of CSS, which works in an `<img>` too.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

import pyte

from tests.support.waiting import HANGS

COLUMNS, ROWS = 92, 18
FRAME_SECONDS = 0.08
"""The shortest time that a frame is shown: what changes faster is joined."""

LAST_SECONDS = 4.0
CELL = (8.4, 18.0)
MARGIN = 16.0
COLOURS = {
    "default": "#e8eaee",
    "black": "#5b6472",
    "red": "#ff9a92",
    "green": "#6fd398",
    "brown": "#f0bd5a",
    "blue": "#8ab4ff",
    "magenta": "#d6a8ff",
    "cyan": "#76d4e0",
    "white": "#e8eaee",
    "brightblack": "#8b94a3",
}

Row = tuple[tuple[str, str, bool], ...]
"""Pieces of a row: the text, its colour, and whether it is bold."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A screen, and the second at which it appears."""

    at: float
    rows: tuple[Row, ...]


class Recording:
    """A program in a terminal of its own. `screen` is what it shows now, `frames` all that it has shown."""

    def __init__(self, command: Sequence[object], environment: Mapping[str, str]) -> None:
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self._terminal, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            [*map(str, command)],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env=dict(environment),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(inner)
        self.frames: list[Frame] = []
        self._began = time.monotonic()

    def until(self, shows: Callable[[str], bool]) -> None:
        """Let the program run until its screen shows something."""
        end = time.monotonic() + HANGS
        while not shows(self.text):
            assert time.monotonic() < end, self.text
            self._read(1.0)

    def rest(self, seconds: float) -> None:
        """Let the program run for a while, for who looks at the picture."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def type(self, text: str, pause: float = 0.05) -> None:
        """Press keys, one after the other."""
        for key in text:
            os.write(self._terminal, key.encode())
            self.rest(pause)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def _read(self, timeout: float) -> None:
        if select.select([self._terminal], [], [], timeout)[0]:
            self._stream.feed(os.read(self._terminal, 65_536))
            self._note()

    def _note(self) -> None:
        """Keep the screen as a frame. A frame that was shown too shortly is replaced."""
        at = time.monotonic() - self._began
        rows = tuple(_pieces(self.screen, number) for number in range(ROWS))
        if self.frames and self.frames[-1].rows == rows:
            return
        if self.frames and at - self.frames[-1].at < FRAME_SECONDS:
            at = self.frames.pop().at
        self.frames.append(Frame(at, rows))


def _pieces(screen: pyte.Screen, number: int) -> Row:
    line = screen.buffer[number]
    cells = [line[column] for column in range(COLUMNS)]
    runs = groupby(cells, key=lambda cell: (cell.fg, cell.bold))
    pieces = [("".join(cell.data for cell in run), colour, bold) for (colour, bold), run in runs]
    while pieces and not pieces[-1][0].strip():
        pieces.pop()
    if pieces:
        text, colour, bold = pieces.pop()
        pieces.append((text.rstrip(), colour, bold))
    return tuple(pieces)


def svg(frames: Sequence[Frame], title: str) -> str:
    """Return the frames as an SVG that shows them again and again."""
    began = frames[0].at
    length = frames[-1].at - began + LAST_SECONDS
    width, height = COLUMNS * CELL[0] + 2 * MARGIN, ROWS * CELL[1] + 2 * MARGIN
    ends = [*(each.at - began for each in frames[1:]), length]
    shown = zip(frames, ends, strict=True)
    styles = [_keyframes(number, frame.at - began, end, length) for number, (frame, end) in enumerate(shown)]
    groups = [f'<g class="f f{number}">{"".join(_texts(frame))}</g>' for number, frame in enumerate(frames)]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
            f"<title>{escape(title)}</title>",
            "<style>",
            "text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre; }",
            f".f {{ visibility: hidden; animation: {length:.2f}s step-end infinite; }}",
            *styles,
            "</style>",
            f'<rect width="{width:.0f}" height="{height:.0f}" rx="8" fill="#16181d"/>',
            *groups,
            "</svg>\n",
        )
    )


def _keyframes(number: int, begin: float, end: float, length: float) -> str:
    """Return the style of a frame: it is visible from its beginning to its end."""
    first, last = 100 * begin / length, 100 * end / length
    hidden = "" if number == 0 else "0% { visibility: hidden; } "
    after = "" if last >= 100 else f" {last:.3f}% {{ visibility: hidden; }}"
    steps = f"{hidden}{first:.3f}% {{ visibility: visible; }}{after}"
    return f".f{number} {{ animation-name: k{number}; }} @keyframes k{number} {{ {steps} }}"


def _texts(frame: Frame) -> Iterator[str]:
    for number, row in enumerate(frame.rows):
        column = 0
        for text, colour, bold in row:
            if text.strip():
                x, y = MARGIN + column * CELL[0], MARGIN + (number + 0.75) * CELL[1]
                weight = ' font-weight="bold"' if bold else ""
                fill = COLOURS.get(colour, COLOURS["default"]) if not _is_hex(colour) else f"#{colour}"
                length = f' textLength="{len(text) * CELL[0]:.1f}" lengthAdjust="spacingAndGlyphs"'
                yield f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}"{weight}{length}>{escape(text)}</text>'
            column += len(text)


def _is_hex(colour: str) -> bool:
    return len(colour) == 6 and all(digit in "0123456789abcdef" for digit in colour)
