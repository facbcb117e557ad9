"""Chat completions of OpenAI's API: parses requests, builds response objects. No I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Self

from parley.llm.answers import PromptMessage, answer, tokens


class BadRequestError(Exception):
    """A request that cannot be answered. `param` names the wrong field, if there is one."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """The fields of a request that matter here. `max_tokens` is None if the answer may have any length."""

    model: str
    messages: tuple[PromptMessage, ...]
    stream: bool
    include_usage: bool
    max_tokens: int | None


def parse(body: bytes, default_model: str) -> CompletionRequest:
    """Parse the body of a request. Raises BadRequestError for what OpenAI refuses too."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequestError("The body of the request is not JSON.") from None
    if not isinstance(fields, dict):
        raise BadRequestError("The body of the request is not a JSON object.")
    options = fields.get("stream_options")
    return CompletionRequest(
        model=str(fields.get("model") or default_model),
        messages=_messages(fields.get("messages")),
        stream=bool(fields.get("stream")),
        include_usage=isinstance(options, dict) and bool(options.get("include_usage")),
        max_tokens=_max_tokens(fields),
    )


@dataclass(frozen=True, slots=True)
class Completion:
    """Answer to one request, and the objects that carry it."""

    request: CompletionRequest
    id: str
    created: int
    pieces: list[str]
    finish_reason: str

    @classmethod
    def of(cls, request: CompletionRequest, completion_id: str, created: int) -> Self:
        """Answer the request. `created` is in seconds since the epoch."""
        pieces = tokens(answer(request.messages))
        limit = request.max_tokens
        if limit is not None and limit < len(pieces):
            return cls(request, completion_id, created, pieces[:limit], "length")
        return cls(request, completion_id, created, pieces, "stop")

    def opening(self) -> dict[str, Any]:
        """Return the chunk that names the role."""
        return self.chunk({"role": "assistant", "content": ""})

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
        message = {"role": "assistant", "content": "".join(self.pieces), "refusal": None}
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
        written = len(self.pieces)
        return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _messages(value: object) -> tuple[PromptMessage, ...]:
    if not isinstance(value, list) or not value:
        raise BadRequestError("'messages' must be a list of at least one message.", "messages")
    return tuple(_message(item, f"messages[{number}]") for number, item in enumerate(value))


def _message(value: object, param: str) -> PromptMessage:
    if not isinstance(value, dict) or not isinstance(value.get("role"), str):
        raise BadRequestError(f"'{param}' must be an object with a role.", param)
    return PromptMessage(value["role"], _text(value.get("content"), f"{param}.content"))


def _text(content: object, param: str) -> str:
    """Return a content as text: a string, the parts of a list, or none (as next to a tool call)."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise BadRequestError(f"'{param}' must be a string or a list of parts.", param)
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def _max_tokens(fields: dict[str, Any]) -> int | None:
    for param in ("max_completion_tokens", "max_tokens"):
        value = fields.get(param)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise BadRequestError(f"'{param}' must be a whole number of at least 1.", param)
        return value
    return None
