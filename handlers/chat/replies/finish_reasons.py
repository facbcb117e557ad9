"""Finish reasons: the words in which servers say why an answer ended, and what each means here."""

from __future__ import annotations

import re

from handlers.chat.records import FinishReason

_WORDS = {
    FinishReason.STOP: (
        # OpenAI. An answer that asks for tools is over too; Gemini and Ollama end such a one with `stop` anyway.
        *("stop", "tool_calls", "function_call"),
        # Anthropic and Amazon Bedrock (API_runtime_MessageStopEvent).
        *("end_turn", "stop_sequence", "tool_use"),
        # Cohere; Hugging Face and Together (litellm/litellm_core_utils/core_helpers.py); earendil-works/pi#2107.
        *("complete", "eos", "eos_token", "end"),
    ),
    FinishReason.LENGTH: (
        "length",  # OpenAI
        "max_tokens",  # Anthropic, Bedrock, Cohere; MAX_TOKENS of Gemini (Candidate.FinishReason)
        "max_output_tokens",  # OpenAI's Responses API, through gateways (BerriAI/litellm, pull request 37710)
        "model_length",  # Mistral (ChatCompletionChoice)
        "model_context_window_exceeded",  # Anthropic, Bedrock
    ),
    FinishReason.CONTENT_FILTER: (
        "content_filter",  # OpenAI
        *("guardrail_intervened", "content_filtered"),  # Bedrock
        "refusal",  # Anthropic
        "sensitive",  # Z.ai (earendil-works/pi, pull request 1509)
        "error_toxic",  # Cohere
        # Gemini and Vertex AI (Candidate.FinishReason).
        *("safety", "recitation", "blocklist", "prohibited_content", "spii", "language", "image_safety"),
    ),
    FinishReason.ERROR: (
        "error",  # Mistral, OpenRouter, Cohere
        "abort",  # vLLM (vllm-project/vllm#57082), Z.ai
        "network_error",  # Z.ai
        "insufficient_system_resource",  # DeepSeek (Create Chat Completion)
        *("error_limit", "user_cancel", "timeout"),  # Cohere
        *("malformed_model_output", "malformed_tool_use"),  # Bedrock
        *("malformed_function_call", "malformed_response", "other"),  # Gemini
        "rate_limit_exceeded",  # OpenAI's Responses API
    ),
}

_NONE = ("", "null", "none", "unspecified")
"""Words that servers send while the answer goes on. `unspecified` is Gemini's default value."""

_BAD = (
    *("error", "abort", "cancel", "fail", "timeout"),
    *("insufficient", "interrupt", "malformed", "overload", "unavailable"),
)
"""Parts of words that mean a bad end, for words that are not in the table."""


def _key(word: str) -> str:
    """Return a word without case and punctuation: `MAX_TOKENS`, `max-tokens` and `maxTokens` are one."""
    return "".join(filter(str.isalnum, word[:64].casefold())).removeprefix("finishreason")


_REASONS = {_key(word): reason for reason, words in _WORDS.items() for word in words}
_NO_REASONS = frozenset(map(_key, _NONE))


def unknown_word(word: object) -> str:
    """Return a server's `finish_reason` for the log if we do not know it. Empty if we do, or if there is none."""
    if not isinstance(word, str) or (key := _key(word)) in _REASONS or key in _NO_REASONS:
        return ""
    return re.sub(r"[^\w.:-]", "?", word[:64])


def finish_reason(word: object) -> FinishReason | None:
    """Return what a server's `finish_reason` means, None if the answer goes on.

    An unknown word is `STOP`, unless a part of it says that the end is a bad one.
    """
    if not isinstance(word, str) or (key := _key(word)) in _NO_REASONS:
        return None
    bad = any(part in key for part in _BAD)
    return _REASONS.get(key, FinishReason.ERROR if bad else FinishReason.STOP)
