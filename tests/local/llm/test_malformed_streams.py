"""Malformed streams of the built-in model: what the reader of the functions makes of each."""

import pytest
from parley.faults.plan import POINTS
from parley.llm.answers import PromptMessage
from parley.llm.completions import Completion
from parley.llm.malformed_streams import malformed_stream
from parley.llm.requests import CompletionRequest

from handlers.chat.errors import ModelFailed
from handlers.chat.replies.deltas import DeltaReader

REQUEST = CompletionRequest("m", (PromptMessage("user", "Hello"),), stream=True, include_usage=True, max_tokens=None)
COMPLETION = Completion.of(REQUEST, "id", 0)
WHOLE = "".join(COMPLETION.pieces)
HALF = "".join(COMPLETION.pieces[: len(COMPLETION.pieces) // 2])
HUGE = "x" * 2_000_000

ANSWERS = {
    "stall-mid": (HALF, None),
    "cut": (HALF, None),
    "close": (HALF, None),
    "error-event": (HALF, None),
    "unknown-event": (HALF, None),
    "broken-json": (HALF, None),
    "abort": (HALF, None),
    "html": ("", None),
    "empty": ("", None),
    "blank": ("", "stop"),
    "filter": (HALF, "content_filter"),
    "length": (HALF, "length"),
    "huge": (HUGE, "stop"),
    "surrogate": ("\U0001f642!", "stop"),
    "odd": (WHOLE, "stop"),
    "content-parts": (WHOLE, "stop"),
    "delta-text": (WHOLE, "stop"),
    "odd-events": (WHOLE, "stop"),
    "odd-end": (WHOLE, "stop"),
    "sse": (WHOLE, "stop"),
    "whole": (WHOLE, "stop"),
    "refusal": (WHOLE, "stop"),
    "early-stop": (WHOLE, "stop"),
    "controls": (WHOLE, "stop"),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_each_kind_is_an_answer_or_a_failure(kind):
    reader, text, reason = DeltaReader(), "", None
    try:
        for deltas in (*map(reader.feed, malformed_stream(COMPLETION, kind).pieces), reader.end()):
            for delta in deltas:
                text, reason = text + delta.text + delta.refusal, delta.finish_reason or reason
    except ModelFailed:
        reason = None
    assert (text, reason) == ANSWERS[kind]


def test_each_kind_of_a_fault_plan_is_known():
    others = {"delay", "stall", "no-usage-option"}
    assert {kind for kind in POINTS["model"] if not kind.isdigit()} - others == ANSWERS.keys()
