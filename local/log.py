"""How happenings look on a terminal: one line each, in the order in which they were recorded."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import click

from local.trace import Happening

_COLOURS = {"open": "green", "close": "yellow", "refuse": "red", "unrouted": "red", "dead_letter": "red"}


class Log:
    """Writes happenings as lines. Posts to one connection that follow each other make one line together."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._colour = out.isatty()
        self._closed = False
        self._posts: Happening | None = None
        self._count = 0

    def write(self, happening: Happening) -> None:
        """Write a happening's line, if its kind has one."""
        if self._closed:
            return
        if happening.kind == "post" and self._is_repeated(happening):
            self._count += 1
            return
        self.flush()
        if happening.kind == "post":
            self._posts, self._count = happening, 1
        elif happening.kind in _LINES:
            self._print(happening, _LINES[happening.kind](happening.fields))

    def close(self) -> None:
        """Write what was held back, and nothing after it: how functions are killed at the end is no news."""
        self.flush()
        self._closed = True

    def flush(self) -> None:
        """Write the line of the posts that were held back, if there are any."""
        posts, self._posts = self._posts, None
        if posts is not None:
            times = f" × {self._count}" if self._count > 1 else ""
            self._print(posts, f"{posts.fields['connection_id']} {posts.fields['status']}{times}")

    def _is_repeated(self, post: Happening) -> bool:
        keys = ("connection_id", "status")
        return self._posts is not None and all(self._posts.fields[key] == post.fields[key] for key in keys)

    def _print(self, happening: Happening, text: str) -> None:
        moment = time.strftime("%H:%M:%S", time.localtime(happening.at))
        kind = f"{happening.kind:<8}"
        if self._colour:
            failed = happening.fields.get("error") or happening.fields.get("status", 200) >= 400
            colour = "red" if failed else _COLOURS.get(happening.kind, "cyan")
            moment, kind = click.style(moment, dim=True), click.style(kind, fg=colour)
            text = click.style(text, dim=True) if happening.kind == "log" else text
        print(moment, kind, text, file=self._out, flush=True)


def _invocation(fields: Mapping[str, Any]) -> str:
    temperature = {True: "cold", False: "warm", None: "-"}[fields.get("cold")]
    error = f"  {fields['error']}" if fields.get("error") else ""
    return f"{fields['milliseconds']:.0f} ms {temperature}{error}"


_LINES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "open": lambda fields: f"{fields['connection_id']}",
    "refuse": lambda fields: f"{fields['connection_id']} handshake answered with {fields['status']}",
    "close": lambda fields: f"{fields['connection_id']} {fields['code']}: {fields['cause']}",
    "unrouted": lambda fields: f"{fields['connection_id']} no route for this message, and no $default",
    "route": lambda fields: f"{fields['connection_id']} {fields['route']} → {fields['function']} {_invocation(fields)}",
    "end": lambda fields: f"{fields['function']} {_invocation(fields)}",
    "log": lambda fields: f"{fields['function']} │ {fields['line']}",
    "dead_letter": lambda fields: f"{fields['function']} gave up on {fields['request_id']}",
    "http": lambda fields: f"{fields['method']} {fields['path']} {fields['status']}",
    "connections": lambda fields: f"{fields['method']} {fields['connection_id']} {fields['status']}",
    "note": lambda fields: f"{fields['text']}",
}
