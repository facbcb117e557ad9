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
        "abort": MalformedStream((*begun, _event(completion.chunk({}, "abort")), _DONE)),
        "content-parts": MalformedStream((*map(_event, _content_parts(completion)), _DONE)),
        "delta-text": MalformedStream((*map(_event, _delta_texts(completion)), _DONE)),
        "odd-events": MalformedStream((*_odd_events(completion), _DONE)),
        "odd-end": MalformedStream((*_whole_stream(completion), *_odd_end(completion))),
        "sse": MalformedStream((*_legal_events(completion), _DONE)),
        "whole": MalformedStream((json.dumps(completion.whole()).encode(),), content_type=b"application/json"),
        "refusal": MalformedStream((*map(_event, _refusal(completion)), _DONE)),
        "early-stop": MalformedStream((*map(_event, _early_stops(completion)), _DONE)),
        "controls": MalformedStream((*map(_event, _control_characters(completion)), _DONE)),
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


def _content_parts(completion: Completion) -> Iterable[dict[str, Any]]:
    """Yield chunks of Mistral's reasoning models: the content is a list of parts, of which some are thoughts."""
    yield completion.chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]})
    for piece in completion.pieces:
        yield completion.chunk({"content": [{"type": "text", "text": piece}]})
    yield completion.chunk({}, "stop")


def _delta_texts(completion: Completion) -> Iterable[dict[str, Any]]:
    for piece in completion.pieces:
        yield {"choices": [{"index": 0, "delta": piece}]}
    yield completion.chunk({}, "stop")


def _odd_events(completion: Completion) -> Iterable[bytes]:
    """Yield events that are no chunks, and chunks with values of types that nobody expects, among those of the text."""
    values: tuple[object, ...] = (
        "ping",
        [],
        12,
        None,
        {"choices": {}},
        {"choices": [None]},
        {"choices": [{"delta": 12}]},
        {"usage": "none"},
    )
    chunks = (completion.chunk({"content": 12}), completion.chunk({}, "null"), completion.chunk({"content": {}}))
    for odd in (*values, *chunks):
        yield _event(odd)
    yield from _whole_stream(completion)


def _odd_end(completion: Completion) -> Iterable[bytes]:
    """Yield what must not ruin an answer that has ended."""
    yield _event({"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": "many", "total_tokens": {}}})
    yield _event({"error": {"message": "The server is overloaded."}})
    yield b'data: {"choices": [\n\n'


def _legal_events(completion: Completion) -> Iterable[bytes]:
    """Yield a stream with everything that server-sent events allow and chat completions do not use."""
    yield b"\xef\xbb\xbf: a comment\n\nretry: 3000\n\nid: 4\n\nevent: ping\n\n"
    for piece in _whole_stream(completion):
        yield b"event: ping\ndata: \n\n"
        yield b"id: 5\r\n" + piece.replace(b"\n", b"\r\n") + b": ping\n\n"


def _refusal(completion: Completion) -> Iterable[dict[str, Any]]:
    for piece in completion.pieces:
        yield completion.chunk({"refusal": piece})
    yield completion.chunk({}, "stop")


def _early_stops(completion: Completion) -> Iterable[dict[str, Any]]:
    """Yield chunks of servers that say `stop` with their reasoning, and with each piece of their text."""
    yield completion.chunk({"reasoning_content": "Hm."}, "stop")
    for piece in completion.pieces:
        yield completion.chunk({"content": piece}, "stop")


def _control_characters(completion: Completion) -> Iterable[dict[str, Any]]:
    for piece in completion.pieces:
        yield completion.chunk({"content": f"\x00\x1b{piece}\x7f\x9f"})
    yield completion.chunk({}, "stop")


def _whole_stream(completion: Completion) -> Iterable[bytes]:
    for piece in completion.pieces:
        yield _event(completion.chunk({"content": piece}))
    yield _event(completion.chunk({}, "stop"))


def _event(chunk: object) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
