"""How happenings look on a terminal: one line each, in the order in which they were recorded."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import click

from parley.trace import Happening

Fields = Mapping[str, Any]

_COLOURS = {
    "open": "green",
    "close": "yellow",
    "refuse": "red",
    "limit": "red",
    "throttle": "red",
    "unrouted": "red",
    "dead_letter": "red",
}
_STANDARD = {"level", "location", "message", "timestamp", "service", "cold_start", "xray_trace_id"}


class Log:
    """Writes happenings as lines. Posts to one connection that follow each other make one line together."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._terminal = out.isatty()
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
        elif happening.kind in _LINES and happening.fields.get("caller") not in _TOLD_ELSEWHERE:
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
        if self._terminal:
            failed = happening.fields.get("error") or happening.fields.get("status", 200) >= 400
            colour = "red" if failed else _COLOURS.get(happening.kind, "cyan")
            moment, kind = click.style(moment, dim=True), click.style(kind, fg=colour)
            text = click.style(_without_json(text), dim=True) if happening.kind == "log" else text
        print(moment, kind, text, file=self._out, flush=True)


def _without_json(text: str) -> str:
    """Return a line of a JSON log as people read it, without what is the same in every line; others unchanged."""
    function, separator, line = text.partition(" │ ")
    try:
        said = json.loads(line)
        head = f"{said['level']} {said['message']}"
    except (ValueError, TypeError, KeyError):
        return text
    told = {name: value for name, value in said.items() if name not in _STANDARD and not name.startswith("function_")}
    return f"{function}{separator}{head} " + " ".join(f"{name}={value}" for name, value in told.items())


def _invocation(fields: Fields) -> str:
    temperature = {True: "cold", False: "warm", None: "-"}[fields.get("cold")]
    error = f"  {fields['error']}" if fields.get("error") else ""
    return f"{fields['milliseconds']:.0f} ms {temperature}{error}"


def _limit(fields: Fields) -> str:
    return f"; {fields['limit']}: {fields['document']}" if "limit" in fields else ""


_TOLD_ELSEWHERE = ("gateway", "emulator")
"""Callers whose invocations need no line: the gateway's have one by `route` or `http`."""

_LINES: dict[str, Callable[[Fields], str]] = {
    "open": lambda fields: f"{fields['connection_id']}",
    "refuse": lambda fields: (
        f"{fields.get('connection_id') or fields['path']} handshake answered with {fields['status']}: {fields['why']}"
    ),
    "close": lambda fields: f"{fields['connection_id']} {fields['code']}: {fields['cause']}{_limit(fields)}",
    "limit": lambda fields: f"{fields['connection_id']} {fields['what']}{_limit(fields)}",
    "unrouted": lambda fields: f"{fields.get('connection_id') or fields['path']} no route, and no $default",
    "route": lambda fields: f"{fields['connection_id']} {fields['route']} → {fields['function']} {_invocation(fields)}",
    "http": lambda fields: (
        f"{fields['method']} {fields['path']} → {fields['function']} {_invocation(fields)} {fields['status']}"
    ),
    "end": lambda fields: f"{fields['caller']} → {fields['function']} {_invocation(fields)}",
    "wait": lambda fields: f"{fields['function']} all environments are busy",
    "log": lambda fields: f"{fields['function']} │ {fields['line']}",
    "throttle": lambda fields: (
        f"{fields['function']} throttled: {fields['reserved']} at once (ReservedConcurrentExecutions)"
    ),
    "dead_letter": lambda fields: (
        f"{fields['function']} gave up on {fields['request_id']} after {fields['attempts']} attempts"
    ),
    "connections": lambda fields: f"{fields['method']} {fields['connection_id']} {fields['status']}",
    "note": lambda fields: f"{fields['text']}",
}
