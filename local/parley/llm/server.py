"""Built-in model: an OpenAI-compatible server without a key, for development and tests.

An ASGI application with `POST /v1/chat/completions` and `GET /v1/models`. It accepts any `Authorization`. The last
paragraph of the user's message may be a command:

- `/fail`: answers 500 before the first token,
- `/fail mid`: breaks the connection in the middle of the answer,
- `/long N`: writes N tokens.

With tools in the request, `/tool NAME {…}` calls one (`parley.llm.tool_calls`).
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from parley.asgi import Receive, Response, Scope, Send
from parley.llm.answers import command
from parley.llm.completions import Completion
from parley.llm.malformed_streams import MalformedStream, malformed_stream
from parley.llm.requests import BadRequestError, parse

MODEL = "built-in"
_STALL_SECONDS = 3600.0


class _ClientGoneError(Exception):
    """The client closed its connection before the request or the answer was complete."""


@dataclass(frozen=True, slots=True)
class ModelFailure:
    """A failure of one completion: its `kind` is a status, `delay`, `stall`, or one of the malformed streams.

    `seconds` is the length of a delay.
    """

    kind: str
    seconds: float = 0.0


class BuiltInModel:
    """The ASGI application. `tokens_per_second` is its speed; 0 means no pause.

    `failure_of` gets the body of each request for a completion, and returns the failure of that completion.
    """

    def __init__(
        self, tokens_per_second: float = 40.0, failure_of: Callable[[str], ModelFailure | None] | None = None
    ) -> None:
        self._interval = 1 / tokens_per_second if tokens_per_second else 0.0
        self._failure_of = failure_of
        self.report = {"requests": 0, "open": 0, "abandoned": 0}
        """Numbers of completions: requested, being sent, and abandoned by their client."""

    def reset(self) -> None:
        """Count the completions from now on."""
        self.report.update(requests=0, abandoned=0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Paths include `/v1`."""
        try:
            await self._answer(scope, receive, send)
        except BadRequestError as refused:
            await Response.of_json(400, _error(str(refused), "invalid_request_error", refused.param)).send(send)
        except _ClientGoneError:
            return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["method"], scope["path"]:
            case "POST", "/v1/chat/completions":
                await self._complete(receive, send)
            case "GET", "/v1/models":
                model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "parley"}
                await Response.of_json(200, {"object": "list", "data": [model]}).send(send)
            case method, path:
                message = f"Invalid URL ({method} {path})"
                await Response.of_json(404, _error(message, "invalid_request_error")).send(send)

    async def _complete(self, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        self.report["requests"] += 1
        failure = self._failure_of(body.decode(errors="replace")) if self._failure_of else None
        request = parse(body, default_model=MODEL)
        asked = command(request.messages)
        if asked == "/fail":
            await Response.of_json(500, _error("The model fails because it was asked to.", "server_error")).send(send)
            return
        completion = Completion.of(request, f"chatcmpl-{uuid.uuid4().hex}", int(time.time()))
        breaks_at = len(completion.deltas) // 2 if asked == "/fail mid" else None
        gone = asyncio.create_task(_disconnected(receive))
        self.report["open"] += 1
        try:
            if failure is not None and await self._fail(failure, completion, gone, send):
                return
            if request.stream:
                await self._stream(completion, breaks_at, gone, send)
            else:
                await self._whole(completion, breaks_at, gone, send)
        except _ClientGoneError:
            self.report["abandoned"] += 1
            raise
        finally:
            self.report["open"] -= 1
            gone.cancel()

    async def _fail(self, failure: ModelFailure, completion: Completion, gone: Gone, send: Send) -> bool:
        """Carry out a failure. Return True if it replaces the answer."""
        match failure.kind:
            case "no-usage-option" if not completion.request.include_usage:
                return False
            case "no-usage-option":
                message = "Unrecognized request argument supplied: stream_options"
                await Response.of_json(400, _error(message, "invalid_request_error")).send(send)
            case "delay":
                await _wait(gone, time.monotonic() + failure.seconds)
                return False
            case "stall":
                await _wait(gone, time.monotonic() + _STALL_SECONDS)
            case status if status.isdigit():
                await Response.of_json(int(status), _error("Failed by the fault plan.", "server_error")).send(send)
            case kind:
                await self._stream_malformed(malformed_stream(completion, kind), gone, send)
        return True

    async def _stream_malformed(self, stream: MalformedStream, gone: Gone, send: Send) -> None:
        await _start(send, 200, stream.content_type)
        for piece in stream.pieces:
            await _wait(gone, time.monotonic() + self._interval)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if stream.then == "stall":
            await _wait(gone, time.monotonic() + _STALL_SECONDS)
        if stream.then == "end":
            await send({"type": "http.response.body", "body": b""})

    async def _stream(self, completion: Completion, breaks_at: int | None, gone: Gone, send: Send) -> None:
        """Send the chunks, each piece at its time. To return in the middle breaks the connection."""
        await _start(send, 200, b"text/event-stream")
        await _event(send, completion.opening())
        start = time.monotonic()
        for number, delta in enumerate(completion.deltas):
            if number == breaks_at:
                return
            await _wait(gone, start + number * self._interval)
            await _event(send, completion.chunk(delta))
        for chunk in completion.closing():
            await _event(send, chunk)
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _whole(self, completion: Completion, breaks_at: int | None, gone: Gone, send: Send) -> None:
        """Send one object when a stream would have sent its last piece."""
        await _wait(gone, time.monotonic() + len(completion.deltas) * self._interval)
        if breaks_at is None:
            await Response.of_json(200, completion.whole()).send(send)
        else:
            await _start(send, 200, b"application/json")
            await send({"type": "http.response.body", "body": b'{"id":', "more_body": True})


Gone = asyncio.Task[None]
"""Task that ends once the client has closed its connection."""


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _wait(gone: Gone, due: float) -> None:
    """Wait until `due`, in seconds of the monotonic clock. Raises if the client leaves."""
    await asyncio.wait({gone}, timeout=max(due - time.monotonic(), 0))
    if gone.done():
        raise _ClientGoneError


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGoneError
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


async def _start(send: Send, status: int, content_type: bytes) -> None:
    headers = [(b"content-type", content_type), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _event(send: Send, chunk: dict[str, Any]) -> None:
    body = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    await send({"type": "http.response.body", "body": body, "more_body": True})


def _error(message: str, kind: str, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": None}}
