"""Bodies of answers, as servers of many kinds send them, and the deltas in them."""

import json
from unicodedata import category, normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.chat.errors import ModelFailed
from handlers.chat.protocol.frames import clean
from handlers.chat.records import FinishReason, Usage
from handlers.chat.replies.deltas import DeltaReader
from handlers.chat.replies.finish_reasons import finish_reason
from handlers.chat.replies.sse import MAX_EVENT_BYTES

DONE = b"data: [DONE]\n\n"


def chunk(content=None, reason=None, **delta):
    said = delta if content is None else {"content": content, **delta}
    return {"choices": [{"index": 0, "delta": said, "finish_reason": reason}]}


def events(*values):
    return b"".join(b"data: " + (v if isinstance(v, bytes) else json.dumps(v).encode()) + b"\n\n" for v in values)


def read(*pieces):
    """Return the text of an answer, the reason why it ended, None if it failed, and its usage."""
    reader, text, reason, usage = DeltaReader(), "", None, None
    try:
        for deltas in (*(reader.feed(piece) for piece in pieces), reader.end()):
            for delta in deltas:
                text += delta.text
                reason, usage = delta.finish_reason or reason, delta.usage or usage
    except ModelFailed:
        reason = None
    return text, reason, usage


def said(*values):
    """Return text and reason of a stream of these events, and the usual end."""
    return read(events(*values, chunk(reason="stop")) + DONE)[:2]


@pytest.mark.parametrize(
    "odd",
    [
        *(None, [], 12, "ping", True, b"ping", b"", b" ", b"1e999", {}),
        *({"choices": odd} for odd in (None, {}, "x", [], [None], ["x"], [[]], [{}])),
        *({"choices": [{"delta": odd}]} for odd in (None, [], 12, {}, [{"content": "x"}])),
        *(chunk(odd) for odd in (12, True, {}, [], {"text": 1}, [1, None, [], {}], {"type": ["text"], "text": "x"})),
        *(chunk("", odd) for odd in (12, {}, [], {"type": "stop"}, "null", "", "FINISH_REASON_UNSPECIFIED")),
        *({**chunk(""), "usage": odd} for odd in (12, [], "x", {}, {"prompt_tokens": "x"}, {"prompt_tokens": [1]})),
        chunk([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]),
        chunk([{"type": "reasoning", "text": "hm"}, {"type": "image_url", "image_url": {}}]),
        chunk(reasoning_content="hm", reasoning={"x": 1}, role="assistant", tool_calls=[1], refusal=None),
        {"error": None, **chunk("")},
    ],
    ids=repr,
)
def test_what_is_not_understood_is_passed_over(odd):
    assert said(odd, chunk("one "), odd, chunk("two"), odd) == ("one two", FinishReason.STOP)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (chunk("a"), "a"),
        (chunk([{"type": "text", "text": "a"}, {"text": "b"}, "c", {"type": "output_text", "text": "d"}]), "abcd"),
        (chunk({"type": "text", "text": "a"}), "a"),
        ({"choices": [{"delta": "a"}]}, "a"),
        ({"choices": [{"message": {"content": "a"}}]}, "a"),
    ],
    ids=repr,
)
def test_text_is_text_wherever_it_is(value, text):
    assert said(value) == (text, FinishReason.STOP)


def test_a_refusal_is_apart_from_the_text_and_counts_as_said():
    reader = DeltaReader()
    body = (
        events(chunk(refusal="I can"), chunk(refusal="'t \ud83d"), chunk(refusal="\ude42."), chunk("", "stop")) + DONE
    )
    deltas = [*reader.feed(body), *reader.end()]
    assert "".join(delta.refusal for delta in deltas) == "I can't 🙂."
    assert not any(delta.text for delta in deltas)
    assert (reader.has_said, reader.finish_reason) == (True, FinishReason.STOP)
    assert reader.tokens_seen >= len("I can't 🙂.")


def test_a_message_that_repeats_what_was_streamed_is_not_shown_twice():
    whole = {"choices": [{"message": {"content": "one two"}, "finish_reason": "stop"}]}
    assert read(events(chunk("one "), chunk("two"), whole) + DONE)[0] == "one two"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (events({"error": {"message": "overloaded", "code": 503}}), ""),
        (events(chunk("a"), {"error": "overloaded"}, chunk("b", "stop")), "a"),
        (events(chunk("a"), b"{broken", chunk("b", "stop")), "a"),
        (events(chunk("a"), b"{" * 100_000), "a"),
        (events(chunk("a"), b'{"x": ' + b"9" * 5_000 + b"}"), "a"),
        (events(chunk("a")) + b'event: error\ndata: {"message": "overloaded"}\n\n', "a"),
        (events(chunk("a")), "a"),
        (events(chunk("a")) + DONE, "a"),
        (events(chunk(reasoning="hm", reason="stop"), chunk("a")), "a"),
        (events(chunk("a", "stop"), chunk("b")), "ab"),
        *((body, "") for body in (b"", DONE, b"<html>a proxy's page</html>", b"data: \xff\xfe\n\n", b"\x00\x01")),
        *((body, "") for body in (b"{", b"{}", b'{"error": {"code": "x"}}', b'{"choices": [{"message": {}}]}')),
        (b"data: " + b"x" * (MAX_EVENT_BYTES + 1), ""),
        (b"{" + b" " * (MAX_EVENT_BYTES + 1), ""),
    ],
    ids=range(21),
)
def test_a_fault_keeps_the_text_before_it(body, text):
    assert read(body) == (text, None, None)


@pytest.mark.parametrize(
    "after",
    [
        *(events(odd) for odd in (b"{broken", {"error": "x"}, b"{" * 100_000, {"choices": 1}, {"usage": {"x": 1}})),
        events({"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": 10**400}}),
        b"event: error\ndata: x\n\n",
        b'data: {"cut": ',
        b"\xff\xfe",
        DONE + events(chunk("never", "length"), b"{broken"),
    ],
    ids=range(10),
)
@pytest.mark.parametrize("end", [events(chunk("a"), chunk(reason="length")), events(chunk("a", "length"))])
def test_after_the_end_nothing_matters(end, after):
    assert read(end + after) == ("a", FinishReason.LENGTH, None)
    assert read(end, after) == ("a", FinishReason.LENGTH, None)


def test_only_the_usage_does():
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    assert read(events(chunk("a"), chunk(reason="stop"), usage) + DONE)[2] == Usage(3, 2)


@pytest.mark.parametrize("usage", [{"prompt_tokens": 0, "completion_tokens": 0}, {"total_tokens": 5}])
def test_a_usage_that_does_not_count_is_none(usage):
    assert read(events({**chunk("a", "stop"), "usage": usage}) + DONE)[2] is None


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"total_tokens": 12}, Usage(3, 9)),  # thinking that the server counts in the total only
        ({"total_tokens": 5}, Usage(3, 2)),
        *(({"total_tokens": odd}, Usage(3, 2)) for odd in (None, 0, 4, -1, "12", [], 10**400)),
    ],
)
def test_a_total_that_is_larger_counts(usage, counted):
    usage = {"prompt_tokens": 3, "completion_tokens": 2, **usage}
    assert read(events({**chunk("a", "stop"), "usage": usage}) + DONE)[2] == counted


def thinking(value):
    return sum(delta.thinking for delta in DeltaReader().feed(events(value)))


class TestThinking:
    @pytest.mark.parametrize(
        "value",
        [
            chunk(reasoning_content="мысль"),
            chunk(reasoning="мысль", role="assistant"),
            chunk(reasoning="мысль", reasoning_content="мысль"),
            chunk(reasoning="мысль", reasoning_details=[{"type": "reasoning.text", "text": "мысль", "format": "x"}]),
            chunk(reasoning_details=[{"type": "reasoning.encrypted", "data": "мысль", "id": "rs_1"}]),
            chunk([{"type": "thinking", "thinking": [{"type": "text", "text": "мысль"}]}]),
            chunk(thinking_blocks=[{"type": "thinking", "thinking": "мысль", "signature": "x" * 99}]),
            chunk(tool_calls=[{"index": 0, "id": "call_1", "function": {"arguments": "мысль"}}]),
            {"choices": [{"message": {"reasoning_content": "мысль"}}]},
            {"choices": [{"delta": [{"text": "мысль"}]}]},
            chunk("\x00" * 10),  # removed from the text
        ],
        ids=repr,
    )
    def test_it_is_counted_in_bytes(self, value):
        assert thinking(value) == 10

    def test_text_that_is_shown_is_none(self):
        assert thinking(chunk("seen")) == 0

    @pytest.mark.parametrize("odd", [None, 12, {}, [], {"x": None}, json.loads("[" * 400 + "]" * 400)])
    def test_what_has_no_text_is_none(self, odd):
        assert thinking(chunk(reasoning=odd)) == 0

    @given(
        st.lists(st.text(st.characters(codec="utf-8")), max_size=5),
        st.lists(st.text(st.characters(codec="utf-8")), max_size=5),
        st.sampled_from(["reasoning", "reasoning_content", "thinking", "anything"]),
        st.lists(st.integers(0, 900), max_size=8),
    )
    def test_no_byte_of_an_answer_is_left_uncounted(self, thoughts, texts, field, cuts):
        body = events(*(chunk(**{field: thought}) for thought in thoughts), *map(chunk, texts))
        reader, counted = DeltaReader(), 0
        for piece in cut(body, cuts):
            counted += sum(len(delta.text.encode()) + delta.thinking for delta in reader.feed(piece))
        assert counted == reader.tokens_seen >= len("".join((*thoughts, *texts)).encode())


def reasoned(*values):
    """Return the reasoning of a stream with these events, and its text."""
    deltas = list(DeltaReader().feed(events(*values)))
    return "".join(delta.reasoning for delta in deltas), "".join(delta.text for delta in deltas)


class TestReasoning:
    @pytest.mark.parametrize(
        "value",
        [
            chunk(reasoning_content="мысль"),  # DeepSeek (api-docs.deepseek.com/guides/thinking_mode), vLLM
            chunk(reasoning="мысль", role="assistant", content=""),  # OpenRouter, Ollama (decolua/9router#3601)
            chunk(reasoning_text="мысль", reasoning_opaque="x"),  # ericc-ch/copilot-api#152
            chunk(reasoning_content={"text": "мысль"}),  # envoyproxy/ai-gateway#1222
            chunk(reasoning="мысль", reasoning_content="мысль"),
            # OpenRouter (LionSR/TeXRA#2720)
            chunk(reasoning="мысль", reasoning_details=[{"type": "reasoning.text", "text": "мысль", "format": "x"}]),
            chunk(reasoning_details=[{"type": "reasoning.summary", "summary": "мысль"}]),
            chunk(reasoning_content="", reasoning=None, reasoning_details=[{"text": "мы"}, {"text": "сль"}]),
            # Mistral (docs.mistral.ai, "Reasoning")
            chunk([{"type": "thinking", "thinking": [{"type": "text", "text": "мысль"}]}]),
            chunk(thinking_blocks=[{"type": "thinking", "thinking": "мысль", "signature": "x" * 99}]),  # LiteLLM
            {"choices": [{"message": {"reasoning_content": "мысль"}}]},
        ],
        ids=repr,
    )
    def test_it_is_read_wherever_it_is_and_is_no_text(self, value):
        assert reasoned(value, chunk("text")) == ("мысль", "text")

    @pytest.mark.parametrize(
        "value",
        [
            chunk(reasoning_details=[{"type": "reasoning.encrypted", "data": "мысль", "id": "rs_1"}]),
            chunk(reasoning_content=None, reasoning=12),
            chunk(reasoning=json.loads("[" * 400 + "]" * 400)),
            chunk([{"type": "text", "text": ""}, {"type": ["thinking"], "text": "x"}]),
            {"choices": [{"delta": "text"}]},
        ],
        ids=repr,
    )
    def test_what_nobody_can_read_is_none(self, value):
        assert reasoned(value)[0] == ""

    def test_it_is_cleaned_and_whole(self):
        assert reasoned(chunk(reasoning="\x00a\ud83d"), chunk("b"), chunk(reasoning="\ude42"))[0] == "a🙂"

    def test_it_changes_nothing_of_what_is_counted(self):
        values = [chunk(reasoning="мысль"), chunk("text"), chunk(reasoning_content="ab", content="cd")]
        assert [(delta.text, delta.thinking) for delta in DeltaReader().feed(events(*values))] == [
            *(("", 10), ("text", 0), ("cd", 2)),
        ]


class TestReason:
    @pytest.mark.parametrize(
        ("word", "reason"),
        [
            *(
                (word, FinishReason.STOP)
                for word in ("stop", "STOP", "eos", "end_turn", "COMPLETE", "tool_calls", "new")
            ),
            *(
                (word, FinishReason.LENGTH)
                for word in ("length", "max_tokens", "MAX_TOKENS", "maxTokens", "model_length")
            ),
            ("max_output_tokens", FinishReason.LENGTH),
            *(
                (word, FinishReason.CONTENT_FILTER)
                for word in ("content_filter", "content-filter", "SAFETY", "sensitive")
            ),
            ("guardrail_intervened", FinishReason.CONTENT_FILTER),
            ("FINISH_REASON_SAFETY", FinishReason.CONTENT_FILTER),
            *(
                (word, FinishReason.ERROR)
                for word in ("abort", "error", "insufficient_system_resource", "network_error")
            ),
            ("engine_overloaded", FinishReason.ERROR),
            *((word, None) for word in (None, "", "null", "None", "FINISH_REASON_UNSPECIFIED", 1, {}, ["stop"], True)),
        ],
    )
    def test_each_word_has_a_meaning(self, word, reason):
        assert finish_reason(word) is reason

    def test_a_bad_one_is_a_failure_that_keeps_text_and_usage(self):
        usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
        assert read(events(chunk("half"), chunk(reason="abort"), usage) + DONE) == ("half", None, Usage(3, 2))

    def test_one_on_reasoning_or_on_each_text_does_not_end_the_answer(self):
        reader = DeltaReader()
        for value in (chunk(reasoning_content="hm", reason="stop"), chunk("a", "stop"), chunk(reason="stop")):
            assert not reader.settled
            list(reader.feed(events(value)))
        assert reader.settled
        assert not reader.done

    def test_one_before_any_text_does_not_settle_it(self):
        reader = DeltaReader()
        list(reader.feed(events(chunk(role="assistant", reason="stop"))))
        assert not reader.settled


WHOLE = {
    "object": "chat.completion",
    "choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "length"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}


class TestWhole:
    @pytest.mark.parametrize("indent", [None, 2])
    @pytest.mark.parametrize("before", [b"", b"\n\n  ", b"\xef\xbb\xbf"])
    def test_one_object_is_an_answer(self, indent, before):
        body = before + json.dumps(WHOLE, indent=indent).encode()
        expected = ("Hello", FinishReason.LENGTH, Usage(3, 2))
        assert read(body) == expected
        assert read(*(bytes([byte]) for byte in body)) == expected

    def test_one_without_a_reason_is_complete(self):
        assert read(b'{"choices": [{"message": {"content": "Hello"}}]}')[:2] == ("Hello", FinishReason.STOP)


def test_a_byte_order_mark_is_ignored():
    assert read(b"\xef\xbb", b"\xbf" + events(chunk("a", "stop"))) == ("a", FinishReason.STOP, None)


class TestText:
    @pytest.mark.parametrize(
        ("pieces", "text"),
        [
            (["a\x00b\x1b[31m\r\n\tc\x7f\x9f"], "ab[31m\n\tc"),
            (["e\u0301"], "é"),
            (["e", "\u0301"], "e\u0301"),
            (["\ud83d", "\ude42!"], "🙂!"),
            (["\ud83d", None, "\ude42"], "🙂"),
            (["a\ud83d"], "a\ufffd"),
            (["\ude42"], "\ufffd"),
        ],
    )
    def test_it_is_cleaned_and_whole(self, pieces, text):
        assert said(*map(chunk, pieces)) == (text, FinishReason.STOP)

    @given(st.lists(st.text(st.characters(codec="utf-8"))))
    def test_it_is_what_was_sent_without_control_characters(self, pieces):
        text, _ = said(*map(chunk, pieces))
        assert normalize("NFC", text) == clean("".join(pieces))


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(
    [
        *("choices", "delta", "message", "content", "text", "type", "refusal", "usage", "error", "finish_reason"),
        *("reasoning", "reasoning_content", "thinking", "tool_calls", "function_call"),
        *("function", "name", "arguments", "index", "id", "extra_content"),
    ]
)
SHAPED = st.recursive(ODD, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3))
BODY = st.lists(
    st.binary(max_size=20)
    | st.sampled_from(
        [b"\n", b"\r\n", b"data: ", b"event: error\n", b": ping\n\n", b"retry: 1\n\n", DONE, b"\xef\xbb\xbf"]
    )
    | SHAPED.map(lambda value: events(value))
    | SHAPED.map(lambda value: events({"choices": [{"delta": value, "finish_reason": value}], "usage": value}))
    | st.builds(chunk, ODD, st.sampled_from([None, "stop", "null", "abort", {}])).map(lambda value: events(value))
).map(b"".join)


def cut(body, cuts):
    ends = sorted(min(each, len(body)) for each in cuts)
    return [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]


@given(BODY, st.lists(st.integers(0, 400), max_size=8))
@example(b"{}", [1])
def test_any_bytes_in_any_pieces_are_deltas_or_a_failure_of_the_model(body, cuts):
    text, reason, usage = read(*cut(body, cuts))
    assert (text, reason, usage) == read(body)
    assert all(character in "\n\t" or category(character) not in ("Cc", "Cs") for character in text)


@given(
    st.lists(st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126)), max_size=5),
    BODY,
    st.lists(st.integers(0, 400)),
)
def test_no_text_before_a_fault_is_lost(pieces, rest, cuts):
    text, _, _ = read(*cut(events(*map(chunk, pieces)) + rest, cuts))
    assert text.startswith("".join(pieces))
