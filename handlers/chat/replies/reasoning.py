"""Reasoning: the thinking of a model that its server shows, wherever in a delta it is. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_FIELDS = (
    "reasoning_content",  # DeepSeek, vLLM, llama.cpp; Bedrock's is an object behind Envoy (envoyproxy/ai-gateway#1222)
    "reasoning",  # OpenRouter, Ollama, Groq
    "reasoning_text",  # GitHub Copilot
    "thinking",
    "reasoning_details",  # OpenRouter: texts, summaries, and what is encrypted
    "thinking_blocks",  # LiteLLM
)
"""Fields of a delta or a message. Servers that fill several fill them with the same."""

_PARTS = ("thinking", "reasoning")
"""Types of parts of the content (Mistral: `thinking`)."""

_TEXTS = ("text", "thinking", "summary", "content")
_MAX_DEPTH = 5


def reasoning(said: object) -> str:
    """Return the reasoning in a delta or a message, empty if there is none. Signatures and ciphers are none."""
    if not isinstance(said, dict):
        return ""
    of_fields = (_readable(said.get(name)) for name in _FIELDS)
    content = said.get("content")
    parts = content if isinstance(content, list) else [content]
    of_parts = [part for part in parts if isinstance(part, dict) and part.get("type") in _PARTS]
    return next(filter(None, of_fields), "") or _joined(of_parts, 0)


def _readable(value: object, depth: int = 0) -> str:
    if isinstance(value, str):
        return value
    if depth < _MAX_DEPTH and isinstance(value, list):
        return _joined(value, depth + 1)
    if depth < _MAX_DEPTH and isinstance(value, dict):
        return next(filter(None, (_readable(value.get(name), depth + 1) for name in _TEXTS)), "")
    return ""


def _joined(values: Iterable[object], depth: int) -> str:
    return "".join(_readable(value, depth) for value in values)
