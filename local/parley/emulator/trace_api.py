"""The JSON API for what happened: the trace, with filters and live; invocations with their payloads; their replay.

Its schema is in docs/emulator/json-api.schema.json.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qs, unquote

from parley.asgi import Response, whole_number
from parley.clock import Clock
from parley.emulator.paths import INVOCATIONS_PATH, RECORD_PATH, TRACE_PATH
from parley.emulator.recording import Payload, Record
from parley.emulator.trace_names import LAST_HEADER, RUN_HEADER
from parley.functions.invocation import Outcome
from parley.functions.service import UnknownFunction
from parley.template.model import LATEST
from parley.trace import MAX_EVENTS, Trace, TraceEvent

MAX_WAIT_SECONDS = 30.0
_SHORTEST_PREFIX = 6
REPLAY = "replay"
"""The caller of an invocation that is a replay."""

_FAILURES = frozenset(("refuse", "limit", "unrouted", "throttle", "dead_letter", "denied", "engine"))
_ERROR_LINE = re.compile(
    r'"(?:level|log_level)"\s*:\s*"(?:ERROR|CRITICAL|FATAL)"|\b(?:ERROR|CRITICAL)\b|Traceback \(most'
)

Invoke = Callable[[str, bytes, str, str], Awaitable[Outcome]]
"""Invokes a function: its name, the event, the qualifier, and who calls."""


class _BadRequest(Exception):
    """A request that has no answer, with its status. The text is for who asks."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.response = Response.of_json(status, {"message": message})


@dataclass(frozen=True, slots=True)
class Filter:
    """The events that are asked for. An empty text or collection stands for all."""

    connection: str = ""
    function: str = ""
    kinds: frozenset[str] = frozenset()
    failures: bool = False
    texts: tuple[str, ...] = ()

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Self:
        """Return the filter that a query asks for."""
        kinds = frozenset(filter(None, asked.get("kind", "").split(",")))
        return cls(
            asked.get("connection", ""),
            asked.get("function", ""),
            kinds,
            asked.get("error", "") in ("1", "true"),
            _spellings(asked.get("text", "")),
        )

    def takes(self, event: TraceEvent, connection: str, payload: Payload | None = None) -> bool:
        """Return whether an event, which is about this connection and has this payload, is asked for."""
        fields = event.fields
        return (
            (not self.kinds or event.kind in self.kinds)
            and (not self.connection or self.connection == connection)
            and (not self.function or self.function in (fields.get("function"), fields.get("caller")))
            and (not self.failures or has_failed(event))
            and (not self.texts or self._is_in(event, connection, payload))
        )

    def _is_in(self, event: TraceEvent, connection: str, payload: Payload | None) -> bool:
        values = [connection, *map(str, event.fields.values()), *([payload.text] if payload else [])]
        return any(text in value for text in self.texts for value in values)


def _spellings(text: str) -> tuple[str, ...]:
    """Return the spellings of a text: as it is, in JSON, and in JSON inside JSON, as the body of an event is."""
    once = json.dumps(text)[1:-1]
    return tuple(dict.fromkeys((text, once, json.dumps(once)[1:-1]))) if text else ()


def has_failed(event: TraceEvent) -> bool:
    """Return whether an event is about something that went wrong, for a function or for a client."""
    if event.kind == "log":
        return bool(_ERROR_LINE.search(event.fields["line"]))
    failed = event.kind in _FAILURES or bool(event.fields.get("error"))
    return failed or int(event.fields.get("status") or 0) >= 400


class TraceApi:
    """The API. `record` is None if payloads are not recorded."""

    def __init__(self, trace: Trace, record: Record | None, invoke: Invoke, clock: Clock) -> None:
        self._trace = trace
        self._record = record
        self._invoke = invoke
        self._clock = clock
        self._run = secrets.token_hex(8)
        self._connections: OrderedDict[str, str] = OrderedDict()
        self._waiting: set[asyncio.Future[None]] = set()
        self._stopped = False
        trace.listen(self._listen)

    async def answer(self, method: str, path: str, query: bytes, body: bytes) -> Response | None:
        """Answer a request; None if the path is none of this API's."""
        asked = {name: values[-1] for name, values in parse_qs(query.decode("latin-1")).items()}
        try:
            if path == TRACE_PATH:
                return await self._answer_trace(asked)
            if path == RECORD_PATH and method in ("GET", "DELETE"):
                return self._answer_record(method)
            if path.startswith(INVOCATIONS_PATH):
                name, _, action = unquote(path.removeprefix(INVOCATIONS_PATH)).partition("/")
                if method == "GET" and not action:
                    return Response.of_json(200, self._described(self._start_of(name)))
                if method == "POST" and action == "replay":
                    return await self._replay(self._start_of(name), body)
        except _BadRequest as refused:
            return refused.response
        return None

    def stop(self) -> None:
        """Answer everybody who waits, with the last events. From now on nobody waits."""
        self._stopped = True
        for waiting in self._waiting:
            _wake(waiting)

    def _listen(self, event: TraceEvent) -> None:
        request, connection = event.fields.get("request_id"), event.fields.get("connection_id")
        if event.kind == "start" and request and connection:
            self._connections[request] = connection
            if len(self._connections) > MAX_EVENTS:
                self._connections.popitem(last=False)
        for waiting in tuple(self._waiting):
            waiting.get_loop().call_soon_threadsafe(_wake, waiting)

    def _connection(self, event: TraceEvent) -> str:
        return event.fields.get("connection_id") or self._connections.get(event.fields.get("request_id") or "", "")

    async def _answer_trace(self, asked: Mapping[str, str]) -> Response:
        after, limit = _number(asked, "after", 0), max(1, _number(asked, "limit", MAX_EVENTS))
        wanted = Filter.of(asked)
        whole, brief = (asked.get(name, "") in ("1", "true") for name in ("payloads", "brief"))
        ends = self._clock.time() + _seconds(asked)
        while True:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(waiting)
            try:
                events = self._trace.after(after)
                after = events[-1].number if events else after
                found = [each for each in events if wanted.takes(each, self._connection(each), self._payload(each))][
                    :limit
                ]
                left = ends - self._clock.time()
                if found or left <= 0 or self._stopped:
                    last = found[-1].number if len(found) == limit else after
                    content = [self._event(each, whole, brief) for each in found]
                    return Response.of_json(200, content, {RUN_HEADER: self._run, LAST_HEADER: str(last)})
                await self._clock.within(left, waiting)
            finally:
                self._waiting.discard(waiting)

    def _event(self, event: TraceEvent, whole: bool, brief: bool) -> dict[str, Any]:
        """Return an event as JSON. `whole` and `brief` say how much of its payload it has."""
        payload = self._payload(event) if whole or brief else None
        content: dict[str, Any] = {"content": payload.as_json()} if payload and whole else {}
        if payload and brief:
            content["brief"] = payload.brief()
        return {"number": event.number, "at": event.at, "kind": event.kind, **event.fields, **content}

    def _payload(self, event: TraceEvent | None) -> Payload | None:
        return self._record.of(event.number) if self._record and event else None

    def _answer_record(self, method: str) -> Response:
        if self._record is None:
            return Response.of_json(200, {"recording": False})
        if method == "DELETE":
            self._record.forget()
        return Response.of_json(200, self._record.summary())

    def _start_of(self, name: str) -> TraceEvent:
        """Return the start of the invocation that a number or a request id names. Raises `_BadRequest`."""
        events, number = self._trace.after(0), whole_number(name)
        # The first characters of a request id may all be digits, so a number that no event has may be such a prefix.
        if named := next((each for each in events if each.number == number), None):
            request = named.fields.get("request_id", "")
            last = MAX_NUMBER if named.kind == "route" else named.number
        else:
            ids = {each.fields.get("request_id") or "" for each in events if each.kind == "start"}
            found = [each for each in ids if each == name or (len(name) >= _SHORTEST_PREFIX and each.startswith(name))]
            request, last = (found[0] if len(found) == 1 else ""), MAX_NUMBER
        starts = [each for each in _of_request(events, request) if each.kind == "start" and each.number <= last]
        if not starts:
            raise _BadRequest(
                404,
                f"{name} is no invocation in the trace. Take the number of a line about a function, or a request id, "
                f"from `parley trace`. The newest {MAX_EVENTS} events are kept.",
            )
        return starts[-1]

    def _described(self, start: TraceEvent) -> dict[str, Any]:
        """Return an invocation with its payloads, the posts that it made, and what it printed."""
        request = start.fields["request_id"]
        later = list(_of_request(self._trace.after(start.number), request))
        again = next((each.number for each in later if each.kind == "start"), MAX_NUMBER)
        mine = [each for each in later if each.number < again]
        end = next((each for each in mine if each.kind == "end"), None)
        event, answer = self._payload(start), self._payload(end)
        return {
            "id": start.number,
            "requestId": request,
            "function": start.fields["function"],
            "caller": start.fields["caller"],
            "connectionId": self._connection(start) or None,
            "at": start.at,
            "milliseconds": end.fields["milliseconds"] if end else None,
            "cold": start.fields["cold"],
            "error": end.fields["error"] if end else None,
            "ended": end is not None,
            "recorded": event is not None,
            **(event.as_json() if event else {}),
            **({"answer": answer.value()} if answer else {}),
            "posts": [self._post(each) for each in mine if each.kind == "post"],
            "log": [each.fields["line"] for each in mine if each.kind == "log"],
        }

    def _post(self, event: TraceEvent) -> dict[str, Any]:
        payload = self._payload(event)
        data = payload.as_json() if payload else {}
        connection, status = event.fields["connection_id"], event.fields["status"]
        return {"number": event.number, "at": event.at, "connectionId": connection, "status": status, **data}

    async def _replay(self, start: TraceEvent, body: bytes) -> Response:
        """Invoke the function again, with the recorded event or with the one in the body. Answer when it has ended."""
        function, qualifier = start.fields["function"], start.fields.get("qualifier", LATEST)
        payload = _checked(body) if body.strip() else self._recorded(start)
        try:
            outcome = await self._invoke(function, payload, qualifier, REPLAY)
        except UnknownFunction:
            raise _BadRequest(404, f"There is no function {function} any more.") from None
        started = (each for each in _of_request(self._trace.after(start.number), outcome.request_id))
        number = next((each.number for each in started if each.kind == "start"), None)
        content = {
            "id": number,
            "requestId": outcome.request_id,
            "function": function,
            "milliseconds": round(outcome.milliseconds, 1),
            "error": outcome.function_error,
            "answer": Payload("answer", outcome.payload.decode(errors="replace")).value(),
        }
        return Response.of_json(200, content)

    def _recorded(self, start: TraceEvent) -> bytes:
        payload = self._payload(start)
        if payload is None:
            why = (
                "Start the emulator with --record."
                if self._record is None
                else "The record has no room for it any more."
            )
            raise _BadRequest(409, f"The event of {start.number} is not recorded. {why}")
        if payload.cut:
            raise _BadRequest(409, f"The event of {start.number} is not recorded: {payload.text}.")
        return payload.text.encode()


MAX_NUMBER = 1 << 62


def _of_request(events: list[TraceEvent], request: str) -> Iterator[TraceEvent]:
    return (each for each in events if request and each.fields.get("request_id") == request)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _number(asked: Mapping[str, str], name: str, default: int) -> int:
    number = whole_number(asked[name]) if name in asked else default
    if number is None:
        raise _BadRequest(400, f"{name}={asked[name]:.100} is not a number of 1 to 18 digits")
    return number


def _seconds(asked: Mapping[str, str]) -> float:
    try:
        seconds = float(asked.get("wait", "0"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_WAIT_SECONDS:
        raise _BadRequest(400, f"wait={asked['wait']} is not a number of seconds, {MAX_WAIT_SECONDS:g} at most")
    return seconds


def _checked(body: bytes) -> bytes:
    try:
        json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _BadRequest(400, f"The event is no JSON: {error}") from None
    return body
