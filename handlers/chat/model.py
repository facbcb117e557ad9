"""The language model: any server that speaks OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from openai import OpenAIError

from handlers.chat.errors import ModelFailed
from handlers.chat.frames import FinishReason, Role, Usage

if TYPE_CHECKING:
    from openai import OpenAI, Stream
    from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
    from openai.types.completion_usage import CompletionUsage

_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}


@dataclass(frozen=True, slots=True)
class Delta:
    """What a model sent: a piece of text, the reason why it ended, the count of its tokens."""

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


class Model:
    """One model of one server."""

    def __init__(self, client: OpenAI, name: str, temperature: float) -> None:
        self._client = client
        self._name = name
        self._temperature = temperature

    def stream(self, prompt: Iterable[tuple[Role, str]]) -> Iterator[Delta]:
        """Yield the model's answer to these messages, oldest first, as it comes.

        Raises `ModelFailed` for whatever keeps the answer from being whole, also where the stream just stops:
        a success has a finish reason.
        """
        try:
            stream = self._open(prompt)
            with stream:
                finished = yield from _deltas(stream)
        except (OpenAIError, ValueError) as error:
            # ValueError: broken JSON or UTF-8 in the stream, which the client does not turn into its own errors.
            raise ModelFailed(type(error).__name__) from error
        if not finished:
            raise ModelFailed("the stream ended without a finish reason")

    def _open(self, prompt: Iterable[tuple[Role, str]]) -> Stream[ChatCompletionChunk]:
        messages = [{"role": role.value, "content": text} for role, text in prompt]
        return self._client.chat.completions.create(
            model=self._name,
            messages=cast("list[ChatCompletionMessageParam]", messages),
            temperature=self._temperature,
            stream=True,
            stream_options={"include_usage": True},
        )


def _deltas(stream: Iterable[ChatCompletionChunk]) -> Generator[Delta, None, bool]:
    """Yield what the chunks hold; return whether one of them held a finish reason."""
    finished = False
    for chunk in stream:
        usage = _usage(chunk.usage) if chunk.usage else None
        choice = chunk.choices[0] if chunk.choices else None
        reason = choice.finish_reason if choice else None
        # Typed as always there, but not every server sends a delta.
        delta = choice.delta if choice else None
        text = _whole((delta.content if delta is not None else None) or "")
        finished = finished or reason is not None
        if text or reason or usage:
            yield Delta(text, _FINISH_REASONS.get(reason, FinishReason.STOP) if reason else None, usage)
    return finished


def _whole(text: str) -> str:
    """Return a text that can be encoded: a server that cuts a character in two sends halves of a surrogate pair."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _usage(usage: CompletionUsage) -> Usage:
    return Usage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)
