"""Bodies of answers, as servers stream them."""

from __future__ import annotations

import json

DONE = b"data: [DONE]\n\n"


def events(*values: object) -> bytes:
    """Return the events with these values, which are JSON or bytes as they are."""
    return b"".join(b"data: " + (v if isinstance(v, bytes) else json.dumps(v).encode()) + b"\n\n" for v in values)


def chunk(reason: str | None = None, **delta: object) -> dict[str, object]:
    """Return a chunk with one delta."""
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def call(name: str | None = None, arguments: object = None, **entry: object) -> dict[str, object]:
    """Return an entry of `tool_calls`. What is None is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**entry, "function": function}


def calling(*entries: object, reason: str | None = None, **delta: object) -> dict[str, object]:
    """Return a chunk with these entries of `tool_calls`."""
    return chunk(reason, **delta, tool_calls=list(entries))
