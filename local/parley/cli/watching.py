"""A running emulator's trace, as the commands that look inside read it. Without boto3, which takes long to import."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from parley.emulator.paths import INVOCATIONS_PATH, RECORD_PATH, TRACE_PATH
from parley.emulator.trace_names import LAST_HEADER, RUN_HEADER
from parley.errors import StartError
from parley.trace import TraceEvent

_WAIT_SECONDS = 20
"""The time that the emulator may hold a request for the next event."""

_ANSWER_SECONDS = 30.0
_REPLAY_SECONDS = 920.0
"""A function may take 15 minutes (Lambda's quota)."""

_AGAIN_SECONDS = 1.0


class NoEmulator(StartError):
    """No emulator answers on the port."""


@dataclass(frozen=True, slots=True)
class Page:
    """Events of the trace, the number up to which they were looked at, and the run that they are of."""

    events: list[dict[str, Any]]
    last: int
    run: str


@dataclass(frozen=True)
class Watched:
    """The emulator on a port of this machine."""

    port: int

    def page(self, wanted: Mapping[str, str], after: int, wait: int = 0) -> Page:
        """Return the events after a number, or wait for the next one. Raises `NoEmulator`, `StartError`."""
        query = urlencode({**wanted, "after": after, **({"wait": wait} if wait else {})})
        content, headers = self._ask("GET", f"{TRACE_PATH}?{query}", seconds=_ANSWER_SECONDS + wait)
        return Page(content, int(headers.get(LAST_HEADER) or 0), headers.get(RUN_HEADER) or "")

    def is_recording(self) -> bool:
        """Return whether payloads are recorded. Raises `NoEmulator`."""
        return bool(self._ask("GET", RECORD_PATH)[0].get("recording"))

    def invocation(self, name: str) -> dict[str, Any]:
        """Return an invocation with its payloads, by a number of the trace or a request id. Raises `StartError`."""
        content: dict[str, Any] = self._ask("GET", f"{INVOCATIONS_PATH}{quote(name, safe='')}")[0]
        return content

    def replay(self, name: str, event: str | None) -> dict[str, Any]:
        """Run an invocation again, with its own event or another one. Raises `StartError`."""
        path, body = f"{INVOCATIONS_PATH}{quote(name, safe='')}/replay", (event or "").encode()
        content: dict[str, Any] = self._ask("POST", path, body, _REPLAY_SECONDS)[0]
        return content

    def _ask(
        self, method: str, path: str, body: bytes | None = None, seconds: float = _ANSWER_SECONDS
    ) -> tuple[Any, Mapping[str, str]]:
        request = Request(f"http://127.0.0.1:{self.port}{path}", body, method=method)
        try:
            with urlopen(request, timeout=seconds) as answer:  # noqa: S310
                return json.load(answer), answer.headers
        except HTTPError as error:
            if error.code >= 500:  # it ends
                raise self._no_answer(error) from None
            raise StartError(_message(error)) from None
        except (OSError, ValueError, HTTPException) as error:
            raise self._no_answer(error) from None

    def _no_answer(self, error: Exception) -> NoEmulator:
        cause = getattr(error, "reason", error)
        reason = str(getattr(cause, "strerror", None) or cause).rstrip(".")
        return NoEmulator(
            f"No answer from an emulator on port {self.port}: {reason}. Start it with `parley up`, or name its port "
            "with --port."
        )


def follow(
    emulator: Watched,
    wanted: Mapping[str, str],
    tell: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[dict[str, Any]]:
    """Yield the events that are kept, and then each one that comes. If the emulator ends, wait for the next one.

    Raises `NoEmulator` only if none answers at the beginning.
    """
    page = emulator.page(wanted, 0)
    while True:
        yield from page.events
        run = page.run
        try:
            page = emulator.page(wanted, page.last, _WAIT_SECONDS)
            if page.run != run:  # another emulator, which counts from 1
                page = emulator.page(wanted, 0)
        except NoEmulator:
            tell("The emulator has ended. Waiting for the next one; Ctrl-C ends this.")
            page = _next_run(emulator, wanted, sleep)


def _next_run(emulator: Watched, wanted: Mapping[str, str], sleep: Callable[[float], None]) -> Page:
    while True:
        sleep(_AGAIN_SECONDS)
        try:
            return emulator.page(wanted, 0)
        except NoEmulator:
            continue


def _message(error: HTTPError) -> str:
    try:
        return f"{json.loads(error.read())['message'].rstrip('.')}."
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"The emulator answered with {error.code}. Is it older than this command?"


def as_trace_event(content: Mapping[str, Any]) -> TraceEvent:
    """Return an event of the API as the log writes it."""
    fields = {name: value for name, value in content.items() if name not in ("number", "at", "kind")}
    return TraceEvent(content["number"], content["at"], content["kind"], fields)
