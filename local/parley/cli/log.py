"""The emulator's log: one line for each event of the trace, in the order in which they were recorded.

Posts are folded: a reply is some hundred of them, and the lines between them would be lost.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
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


Later = Callable[[float, Callable[[], None]], object]
"""A function that calls another one after so many seconds."""

HELD_SECONDS = 1.0
"""The time without a further post after which held posts get their lines, if no other line comes before."""

MOST_CHECKS = 10
"""The number of these times after which they get them in any case."""


class Detail(Enum):
    """Detail of the log. QUIET has lines of functions, and of what goes wrong. VERBOSE has everything."""

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"


@dataclass(slots=True)
class _Posts:
    """Posts to one connection that ended alike: the first one, and how many there are."""

    first: TraceEvent
    count: int = 0


class Log:
    """The writer of the log.

    Posts wait for the next line of another kind, or for `HELD_SECONDS` without a post. Those to one connection with one
    status make one line. `later` is the clock of that; without one they wait for the next line or the end. A `numbered`
    log begins each line with the number of its event.
    """

    def __init__(
        self,
        out: TextIO = sys.stdout,
        detail: Detail = Detail.NORMAL,
        later: Later = lambda seconds, action: None,
        *,
        numbered: bool = False,
    ) -> None:
        self._out = out
        self._detail = detail
        self._later = later
        self._numbered = numbered
        self._terminal = out.isatty()
        self._closed = False
        self._held: dict[tuple[str, int], _Posts] = {}
        self._checking = False
        self._checks = self._seen = 0

    def write(self, event: TraceEvent) -> None:
        """Write the line of an event, if it has one."""
        if self._closed or _is_metrics(event):
            return
        line = self._line(event)
        if line is None or (self._detail is Detail.QUIET and not _matters(event)):
            return
        if event.kind == "post" and self._detail is not Detail.VERBOSE:
            self._hold(event)
            return
        self.flush()
        self._print(event, line(event.fields))

    def close(self) -> None:
        """Write the posts that were held back, and nothing after them.

        The functions that are killed at the end of the emulator would only make noise.
        """
        self.flush()
        self._closed = True

    def flush(self) -> None:
        """Write the lines of the posts that were held back, if there are any."""
        held, self._held = self._held, {}
        self._checks = self._seen = 0
        for posts in held.values():
            times = f" × {posts.count}" if posts.count > 1 else ""
            self._print(posts.first, f"{_call_by_id(posts.first.fields)}{times}")

    def _line(self, event: TraceEvent) -> Callable[[Fields], str] | None:
        if self._detail is Detail.VERBOSE:
            return _LINES.get(event.kind) or _VERBOSE_LINES.get(event.kind)
        return None if event.fields.get("caller") in _LOGGED_BY_ROUTE else _LINES.get(event.kind)

    def _hold(self, post: TraceEvent) -> None:
        key = post.fields["connection_id"], post.fields["status"]
        self._held.setdefault(key, _Posts(post)).count += 1
        if not self._checking:
            self._checking = True
            self._later(HELD_SECONDS, self._check)

    def _check(self) -> None:
        """Write the held posts if no further one has come since the last check."""
        count = sum(posts.count for posts in self._held.values())
        self._checks += 1
        if self._seen == count or self._checks >= MOST_CHECKS:
            self.flush()
        self._seen = sum(posts.count for posts in self._held.values())
        self._checking = bool(self._held)
        if self._checking:
            self._later(HELD_SECONDS, self._check)

    def _print(self, event: TraceEvent, text: str) -> None:
        # Paths, names, reasons and the lines of functions come from outside.
        text = printable(text)
        moment = time.strftime("%H:%M:%S", time.localtime(event.at))
        kind = f"{event.kind:<8}"
        if self._terminal:
            colour = "red" if _has_failed(event) else _COLOURS.get(event.kind, "cyan")
            moment, kind = click.style(moment, dim=True), click.style(kind, fg=colour)
            text = click.style(printable(_without_json(text)), dim=True) if event.kind == "log" else text
        number = (f"{event.number:>6}",) if self._numbered else ()
        print(*number, moment, kind, text, file=self._out, flush=True)


def _has_failed(event: TraceEvent) -> bool:
    return bool(event.fields.get("error")) or event.fields.get("status", 200) >= 400


def _matters(event: TraceEvent) -> bool:
    """Return whether a quiet log has the line of an event."""
    return event.kind in _QUIET or "limit" in event.fields or _has_failed(event)


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


def _call_by_id(fields: Fields) -> str:
    return f"{fields['connection_id']} {fields['status']}"


def _about(fields: Fields) -> str:
    return f" of {fields['connection_id']}" if fields.get("connection_id") else ""


def _waits(fields: Fields) -> str:
    count = fields["environments"]
    busy = f"all {count} environments are busy" if count > 1 else "the one environment is busy"
    return f"{fields['function']} waits: {busy}; PARLEY_ENVIRONMENTS={2 * count} allows more"


def _invocation(fields: Fields) -> str:
    temperature = {True: "cold", False: "warm", None: "-"}[fields.get("cold")]
    error = f"  {fields['error']}" if fields.get("error") else ""
    return f"{fields['milliseconds']:.0f} ms {temperature}{error}"


def _reload(fields: Fields) -> str:
    """Return what has changed, what follows from it, and how long that took."""
    if fields["error"]:
        return str(fields["error"])
    first, *others = fields["functions"] or [""]
    ready = (
        f"{first} is ready again after {fields.get('milliseconds', 0):.0f} ms" if first else "loaded at the next event"
    )
    follow = f", {len(others)} more follow" if others else ""
    what = f" ({_some(fields['what'])})" if fields["what"] else ""
    return f"{_some(fields['changed'])}{what}: {ready}{follow}"


def _some(names: Sequence[str], most: int = 3) -> str:
    """Return the first names, and how many there are beside them."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


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
    "post": _call_by_id,
    "wait": _waits,
    "reload": _reload,
    "log": lambda fields: f"{fields['function']} │ {fields['line']}",
    "throttle": lambda fields: (
        f"{fields['function']} throttled: more than {fields['reserved']} at once (ReservedConcurrentExecutions)"
    ),
    "dead_letter": lambda fields: (
        f"{fields['function']} gave up on {fields['request_id']} after {fields['attempts']} attempts"
    ),
    "rule": lambda fields: f"{fields['rule']} ({fields['cause']}) → {', '.join(fields['targets'])}",
    "connections": lambda fields: f"{fields['method']} {fields['connection_id']} {fields['status']}",
    "engine": lambda fields: (
        f"DynamoDB failed at {' on '.join(filter(None, (fields['operation'], fields['table'])))}: {fields['cause']}"
    ),
    "denied": lambda fields: f"{fields['text']}",
    "unused": lambda fields: f"{fields['text']}",
    "note": lambda fields: f"{fields['text']}",
}

_VERBOSE_LINES: dict[str, Callable[[Fields], str]] = {
    "start": lambda fields: f"{fields['caller']} → {fields['function']} {fields['request_id']}{_about(fields)}",
    "frame_in": lambda fields: f"{fields['connection_id']} ← {fields['bytes']} bytes",
    "frame_out": lambda fields: f"{fields['connection_id']} → {fields['bytes']} bytes",
    "call": lambda fields: (
        f"{fields['caller'] or '-'} → {fields['service']} {fields['operation']} {fields['milliseconds']:.0f} ms "
        f"{fields['status']}"
    ),
    "fault": lambda fields: f"{fields['do']} at {fields['point']}",
}
"""The lines that only a verbose log has."""

_QUIET = {"refuse", "limit", "unrouted", "log", "throttle", "dead_letter", "denied", "note"}
"""The kinds of events whose lines a quiet log has, whatever their fields say."""
