"""Malformed and broken streams, as servers of language models are known to send them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from parley.llm.completions import Completion

_HUGE_CHUNKS, _HUGE_CHUNK_CHARS = 40, 50_000
_DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class MalformedStream:
    """A stream in pieces, and what happens to the connection after them."""

    pieces: tuple[bytes, ...]
    then: Literal["end", "cut", "stall"] = "end"
    content_type: bytes = b"text/event-stream"


def malformed_stream(completion: Completion, kind: str) -> MalformedStream:
    """Return the stream of this kind. Raises KeyError for an unknown kind."""
    half = tuple(
        _event(completion.chunk({"content": piece})) for piece in completion.pieces[: len(completion.pieces) // 2]
    )
    begun = (_event(completion.opening()), *half)
    return {
        "stall-mid": MalformedStream(begun, "stall"),
        "cut": MalformedStream(begun, "cut"),
        "close": MalformedStream(begun),
        "error-event": MalformedStream(
            (*begun, _event({"error": {"message": "The server is overloaded.", "type": "server_error"}}))
        ),
        "unknown-event": MalformedStream((*begun, b'event: error\ndata: {"message": "overloaded"}\n\n')),
        "broken-json": MalformedStream((*begun, b'data: {"choices": [\n\n')),
        "html": MalformedStream((b"<html><body>A proxy's page</body></html>",), content_type=b"text/html"),
        "empty": MalformedStream((_DONE,)),
        "blank": MalformedStream((_event(completion.opening()), _event(completion.chunk({}, "stop")), _DONE)),
        "filter": MalformedStream((*begun, _event(completion.chunk({}, "content_filter")), _DONE)),
        "length": MalformedStream((*begun, _event(completion.chunk({}, "length")), _DONE)),
        "odd": MalformedStream((*map(_event, _unusual_chunks(completion)), _DONE)),
        "huge": MalformedStream((*map(_event, _huge(completion)), _DONE)),
        "surrogate": MalformedStream((*map(_event, _split_surrogates(completion)), _DONE)),
    }[kind]


def _unusual_chunks(completion: Completion) -> Iterable[dict[str, Any]]:
    """Yield chunks of Ollama, vLLM and LiteLLM: no ids, null content, no choices, usage alone, an empty last one."""
    yield {"choices": [{"delta": {"role": "assistant", "content": None}}]}
    yield {"choices": []}
    for piece in completion.pieces:
        yield {"choices": [{"delta": {"content": piece}, "finish_reason": None}]}
        yield {"choices": [{"index": 0, "finish_reason": None}]}
    yield {"choices": [{"delta": {"content": None}, "finish_reason": "stop"}]}
    yield {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": len(completion.pieces)}}
    yield {"id": "", "object": "chat.completion.chunk"}


def _huge(completion: Completion) -> Iterable[dict[str, Any]]:
    for _ in range(_HUGE_CHUNKS):
        yield completion.chunk({"content": "x" * _HUGE_CHUNK_CHARS})
    yield completion.chunk({}, "stop")


def _split_surrogates(completion: Completion) -> Iterable[dict[str, Any]]:
    """Yield chunks of a server that splits a character beyond U+FFFF in two."""
    for piece in ("\ud83d", "\ude42!"):
        yield completion.chunk({"content": piece})
    yield completion.chunk({}, "stop")


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
