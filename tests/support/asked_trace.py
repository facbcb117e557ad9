"""The trace's API in this process, with a Lambda service that answers at once."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from parley.asgi import Response
from parley.emulator.recording import Record
from parley.emulator.trace_api import TraceApi
from parley.functions.invocation import Outcome
from parley.functions.service import UnknownFunction
from parley.trace import Trace

from tests.support.clock import ManualClock

CONNECTION = "aliceaaaaaaaaaa="


class AskedTrace:
    """The API. `invoked` are the invocations that it made; with `unknown` there are no functions any more."""

    def __init__(self, record: Record | None, trace: Trace | None = None) -> None:
        self.clock = ManualClock()
        self.trace = trace or Trace(self.clock.time)
        if record:
            self.trace.keep = record.keep
        self.invoked: list[tuple[str, bytes, str, str]] = []
        self.unknown = False
        self._api = TraceApi(self.trace, record, self._invoke, self.clock)

    def stop(self) -> None:
        """End the waiting, as at the end of the emulator."""
        self._api.stop()

    async def _invoke(self, name: str, payload: bytes, qualifier: str, caller: str) -> Outcome:
        if self.unknown:
            raise UnknownFunction
        self.invoked.append((name, payload, qualifier, caller))
        fields = {"function": name, "request_id": "replayed", "caller": caller, "cold": False}
        self.trace.record("start", {"event": payload}, **fields)
        return Outcome(b'{"replayed": true}', None, False, 1.5, "replayed")

    def invocation(self, request_id: str, event: bytes, answer: bytes) -> None:
        """Record an invocation of a function that logs a line and makes a post: four events."""
        record, ids = self.trace.record, {"function": "Chat", "request_id": request_id}
        run = {**ids, "caller": "gateway", "cold": False, "connection_id": CONNECTION}
        record("start", {"event": event}, **run)
        record("log", line="a line", **ids)
        record("post", {"data": b"hello"}, method="POST", connection_id=CONNECTION, status=200, bytes=5, **ids)
        record("end", {"answer": answer}, milliseconds=1.5, error=None, **run)

    async def ask(self, method: str, path: str, query: str = "", body: bytes = b"") -> Response | None:
        return await self._api.answer(method, f"/_parley/{path}", query.encode(), body)

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.ask("GET", path, urlencode(query))
        assert answer is not None
        assert answer.status == 200, answer.body
        return json.loads(answer.body)
