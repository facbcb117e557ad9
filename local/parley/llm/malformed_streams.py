"""Answers that go wrong, as servers of language models are known to send them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from parley.llm.completions import Completion

_HUGE_PIECES, _HUGE_CHARS = 40, 50_000
_DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Broken:
    """A stream as it is sent: its body in pieces, and what becomes of the connection after them."""

    pieces: tuple[bytes, ...]
    then: Literal["end", "cut", "stall"] = "end"
    content_type: bytes = b"text/event-stream"


def broken(completion: Completion, how: str) -> Broken:
    """Return the stream that goes wrong in this way. Raises KeyError for one that is not known here."""
    half = tuple(
        _event(completion.chunk({"content": piece})) for piece in completion.pieces[: len(completion.pieces) // 2]
    )
    begun = (_event(completion.opening()), *half)
    return {
        "stall-mid": Broken(begun, "stall"),
        "cut": Broken(begun, "cut"),
        "close": Broken(begun),
        "error-event": Broken(
            (*begun, _event({"error": {"message": "The server is overloaded.", "type": "server_error"}}))
        ),
        "unknown-event": Broken((*begun, b'event: error\ndata: {"message": "overloaded"}\n\n')),
        "broken-json": Broken((*begun, b'data: {"choices": [\n\n')),
        "html": Broken((b"<html><body>A proxy's page</body></html>",), content_type=b"text/html"),
        "empty": Broken((_DONE,)),
        "blank": Broken((_event(completion.opening()), _event(completion.chunk({}, "stop")), _DONE)),
        "filter": Broken((*begun, _event(completion.chunk({}, "content_filter")), _DONE)),
        "length": Broken((*begun, _event(completion.chunk({}, "length")), _DONE)),
        "odd": Broken((*map(_event, _odd(completion)), _DONE)),
        "huge": Broken((*map(_event, _huge(completion)), _DONE)),
        "surrogate": Broken((*map(_event, _halves(completion)), _DONE)),
    }[how]


def _odd(completion: Completion) -> Iterable[dict[str, Any]]:
    """Ollama, vLLM and LiteLLM: ids missing, null content, no choices, usage by itself, an empty chunk at the end."""
    yield {"choices": [{"delta": {"role": "assistant", "content": None}}]}
    yield {"choices": []}
    for piece in completion.pieces:
        yield {"choices": [{"delta": {"content": piece}, "finish_reason": None}]}
        yield {"choices": [{"index": 0, "finish_reason": None}]}
    yield {"choices": [{"delta": {"content": None}, "finish_reason": "stop"}]}
    yield {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": len(completion.pieces)}}
    yield {"id": "", "object": "chat.completion.chunk"}


def _huge(completion: Completion) -> Iterable[dict[str, Any]]:
    for _ in range(_HUGE_PIECES):
        yield completion.chunk({"content": "x" * _HUGE_CHARS})
    yield completion.chunk({}, "stop")


def _halves(completion: Completion) -> Iterable[dict[str, Any]]:
    """A server that cuts a character beyond U+FFFF in two."""
    for piece in ("\ud83d", "\ude42!"):
        yield completion.chunk({"content": piece})
    yield completion.chunk({}, "stop")


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
