"""Chat completions of OpenAI's API: the objects that carry an answer. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from parley.llm.answers import answer, next_step, tokens
from parley.llm.requests import CompletionRequest
from parley.llm.tool_calls import Call


@dataclass(frozen=True, slots=True)
class Completion:
    """Answer to one request, and the objects that carry it."""

    request: CompletionRequest
    id: str
    created: int
    deltas: list[dict[str, Any]]
    calls: tuple[Call, ...]
    finish_reason: str

    @classmethod
    def of(cls, request: CompletionRequest, completion_id: str, created: int) -> Self:
        """Answer the request. `created` is in seconds since the epoch."""
        step = next_step(request.messages) if request.may_call else None
        text = "\n".join(step.text) if step else answer(request.messages)
        asked = tuple(
            replace(call, id=_call_id(completion_id, at)) for at, call in enumerate(step.calls if step else [])
        )
        deltas: list[dict[str, Any]] = [{"content": piece} for piece in tokens(text)]
        deltas += [{"tool_calls": [piece]} for at, call in enumerate(asked) for piece in _pieces(at, call)]
        limit = request.max_tokens
        if limit is not None and limit < len(deltas):
            return cls(request, completion_id, created, deltas[:limit], asked, "length")
        return cls(request, completion_id, created, deltas, asked, "tool_calls" if asked else "stop")

    @property
    def pieces(self) -> list[str]:
        """The pieces of the text."""
        return [delta["content"] for delta in self.deltas if "content" in delta]

    def opening(self) -> dict[str, Any]:
        """Return the chunk that names the role."""
        return self.chunk({"role": "assistant", "content": None if self.calls and not self.pieces else ""})

    def chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        """Return one chunk of the stream."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = self._object("chat.completion.chunk", [choice])
        return {**chunk, "usage": None} if self.request.include_usage else chunk

    def closing(self) -> list[dict[str, Any]]:
        """Return the chunks after the last piece: the finish reason and, if the request asks for it, the usage."""
        last = self.chunk({}, self.finish_reason)
        if not self.request.include_usage:
            return [last]
        return [last, {**self._object("chat.completion.chunk", []), "usage": self._usage()}]

    def whole(self) -> dict[str, Any]:
        """Return the answer to a request without streaming."""
        text = "".join(self.pieces)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if self.calls:
            message.update(content=text or None, tool_calls=[call.message() for call in self.calls])
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish_reason}
        return {**self._object("chat.completion", [choice]), "usage": self._usage()}

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.request.model,
            "choices": choices,
        }

    def _usage(self) -> dict[str, int]:
        prompt = sum(len(tokens(message.text)) for message in self.request.messages)
        written = len(self.deltas)
        return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _call_id(completion_id: str, place: int) -> str:
    return f"call_{completion_id[-24:]}{place}"


def _pieces(place: int, call: Call) -> list[dict[str, Any]]:
    """Return the fragments of a call, as OpenAI streams them: its name, then its arguments."""
    begun = {**call.message(), "index": place, "function": {"name": call.name, "arguments": ""}}
    return [begun, *({"index": place, "function": {"arguments": piece}} for piece in tokens(call.arguments))]
