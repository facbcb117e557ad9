"""The emulator's log: one line for each event of the trace, in the order in which they were recorded."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import click

from parley.cli.options import printable
from parley.trace import TraceEvent

Fields = Mapping[str, Any]

_COLOURS = {
    "open": "green",
    "close": "yellow",
    "refuse": "red",
    "limit": "red",
    "throttle": "red",
    "unrouted": "red",
    "dead_letter": "red",
    "denied": "red",
    "engine": "red",
    "unused": "yellow",
}
_STANDARD_FIELDS = {"level", "location", "message", "timestamp", "service", "cold_start", "xray_trace_id"}


class Log:
    """The writer of the log. Successive posts to one connection make one line together."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._closed = False
        self._posts: TraceEvent | None = None
        self._count = 0

    def write(self, event: TraceEvent) -> None:
        """Write the line of an event, if its kind has one."""
        if self._closed or _is_metrics(event):
            return
        if event.kind == "post" and self._is_repeated(event):
            self._count += 1
            return
        self.flush()
        if event.kind == "post":
            self._posts, self._count = event, 1
        elif event.kind in _LINES and event.fields.get("caller") not in _LOGGED_BY_ROUTE:
            self._print(event, _LINES[event.kind](event.fields))

    def close(self) -> None:
        """Write the posts that were held back, and nothing after them.

        The functions that are killed at the end of the emulator would only make noise.
        """
        self.flush()
        self._closed = True

    def flush(self) -> None:
        """Write the line of the posts that were held back, if there are any."""
        posts, self._posts = self._posts, None
        if posts is not None:
            times = f" × {self._count}" if self._count > 1 else ""
            self._print(posts, f"{posts.fields['connection_id']} {posts.fields['status']}{times}")

    def _is_repeated(self, post: TraceEvent) -> bool:
        keys = ("connection_id", "status")
        return self._posts is not None and all(self._posts.fields[key] == post.fields[key] for key in keys)

    def _print(self, event: TraceEvent, text: str) -> None:
        # Paths, names, reasons and the lines of functions come from outside.
        text = printable(text)
        moment = time.strftime("%H:%M:%S", time.localtime(event.at))
        kind = f"{event.kind:<8}"
        if self._terminal:
            failed = event.fields.get("error") or event.fields.get("status", 200) >= 400
            colour = "red" if failed else _COLOURS.get(event.kind, "cyan")
            moment, kind = click.style(moment, dim=True), click.style(kind, fg=colour)
            text = click.style(printable(_without_json(text)), dim=True) if event.kind == "log" else text
        print(moment, kind, text, file=self._out, flush=True)


def _is_metrics(event: TraceEvent) -> bool:
    """Return whether a function has printed metrics, in CloudWatch's embedded metric format. The trace has them."""
    if event.kind != "log" or '"CloudWatchMetrics"' not in event.fields["line"]:
        return False
    try:
        return bool(json.loads(event.fields["line"])["_aws"]["CloudWatchMetrics"])
    except (ValueError, TypeError, KeyError):
        return False


def _without_json(text: str) -> str:
    """Return a line of a JSON log in a form for people, without the fields that every line has.

    Any other line is returned unchanged.
    """
    function, separator, line = text.partition(" │ ")
    try:
        content = json.loads(line)
        head = f"{content['level']} {content['message']}"
    except (ValueError, TypeError, KeyError):
        return text
    fields = {
        name: value
        for name, value in content.items()
        if name not in _STANDARD_FIELDS and not name.startswith("function_")
    }
    return f"{function}{separator}{head} " + " ".join(f"{name}={value}" for name, value in fields.items())


def _invocation(fields: Fields) -> str:
    temperature = {True: "cold", False: "warm", None: "-"}[fields.get("cold")]
    error = f"  {fields['error']}" if fields.get("error") else ""
    return f"{fields['milliseconds']:.0f} ms {temperature}{error}"


def _limit(fields: Fields) -> str:
    return f"; {fields['limit']}: {fields['document']}" if "limit" in fields else ""


_LOGGED_BY_ROUTE = ("gateway", "emulator")
"""Callers whose invocations need no line of `end`: the gateway's have one of `route` or `http`."""

_LINES: dict[str, Callable[[Fields], str]] = {
    "open": lambda fields: f"{fields['connection_id']}",
    "refuse": lambda fields: (
        f"{fields.get('connection_id') or fields['path']} handshake refused with {fields['status']}: {fields['why']}"
    ),
    "close": lambda fields: f"{fields['connection_id']} {fields['code']}: {fields['cause']}{_limit(fields)}",
    "limit": lambda fields: f"{fields['connection_id']} {fields['what']}{_limit(fields)}",
    "unrouted": lambda fields: (
        f"{fields.get('connection_id') or fields['path']} matches no route, and there is no $default"
    ),
    "route": lambda fields: f"{fields['connection_id']} {fields['route']} → {fields['function']} {_invocation(fields)}",
    "http": lambda fields: (
        f"{fields['method']} {fields['path']} → {fields['function']} {_invocation(fields)} {fields['status']}"
    ),
    "end": lambda fields: f"{fields['caller']} → {fields['function']} {_invocation(fields)}",
    "wait": lambda fields: f"{fields['function']} waits: all environments are busy",
    "log": lambda fields: f"{fields['function']} │ {fields['line']}",
    "throttle": lambda fields: (
        f"{fields['function']} throttled: more than {fields['reserved']} at once (ReservedConcurrentExecutions)"
    ),
    "dead_letter": lambda fields: (
        f"{fields['function']} gave up on {fields['request_id']} after {fields['attempts']} attempts"
    ),
    "connections": lambda fields: f"{fields['method']} {fields['connection_id']} {fields['status']}",
    "engine": lambda fields: (
        f"DynamoDB failed at {' on '.join(filter(None, (fields['operation'], fields['table'])))}: {fields['cause']}"
    ),
    "denied": lambda fields: f"{fields['text']}",
    "unused": lambda fields: f"{fields['text']}",
    "note": lambda fields: f"{fields['text']}",
}
