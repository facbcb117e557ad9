"""Calls of tools in the answers of servers, and what the servers get back.

Each shape was seen by the users of a server; its source is the thread. The texts in it are ours.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.errors import ModelFailed
from handlers.chat.records import FinishReason, ToolCall
from handlers.chat.replies.deltas import DeltaReader
from handlers.chat.replies.tool_calls import (
    MAX_CALLS,
    MAX_CALLS_BYTES,
    MAX_EXTRA_BYTES,
    AnsweredCall,
    CallReader,
    Step,
    messages,
)
from tests.support.streams import DONE, call, calling, chunk, events

OSLO, ROME = '{"city": "Oslo"}', '{"city": "Rome"}'
SIGNATURE = {"google": {"thought_signature": "abc"}}


def read(*values, end=DONE):
    """Return the calls of a stream with these chunks, and its text."""
    reader, calls, text = DeltaReader(), [], ""
    for deltas in (reader.feed(events(*values) + end), reader.end()):
        for delta in deltas:
            calls += delta.calls
            text += delta.text
    return calls, text


ONE = {
    # vllm-project/vllm#18412: the id and the name come first, then the arguments in fragments
    "OpenAI": [
        chunk(role="assistant", content=None),
        calling(call("weather", "", index=0, id="c1", type="function")),
        *(calling(call(arguments=piece, index=0)) for piece in ('{"', 'city": "O', 'slo"}')),
        chunk("tool_calls"),
    ],
    # ollama/ollama#7963: gpt-4o has ended such an answer with `stop`
    "OpenAI, stop": [calling(call("weather", OSLO, index=0, id="c1")), chunk("stop")],
    # Azure/azure-sdk-for-js#28343, langchain-ai/langchain#18977: filter results, no choices, choices without a delta
    "Azure": [
        {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]},
        calling(call("weather", "", index=0, id="c1", type="function"), role="assistant", content=None),
        {"choices": [{"index": 0, "finish_reason": None, "content_filter_results": {}}]},
        calling(call(arguments=OSLO, index=0)),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls", "content_filter_results": {}}]},
    ],
    # vllm-project/vllm#42683: the name and the first arguments in one chunk, as two entries
    "vLLM, Kimi": [
        calling(call("weather", index=0, id="c1", type="function"), call(arguments='{"city": ', index=0)),
        calling(call(arguments='"Oslo"}', index=0)),
        chunk("tool_calls"),
    ],
    # spring-projects/spring-ai#4790, symfony/ai#2220: empty ids and names in what follows
    "Qwen on DashScope": [
        calling(call("weather", "", index=0, id="c1"), content="", reasoning_content=""),
        calling(call("", '{"city": ', index=0, id="")),
        calling(call("", "", index=0, id="")),
        calling(call("", '"Oslo"}', index=0, id="")),
        chunk("tool_calls"),
    ],
    # QwenLM/Qwen-Agent#943: the id in a later fragment
    "an id that comes late": [
        calling(call("weather", '{"city": ', index=0)),
        calling(call(None, '"Oslo"}', index=0, id="c1")),
        chunk("tool_calls"),
    ],
    # microsoft/semantic-kernel#6316, mistralai/client-js#69: whole in one chunk, which has the reason too
    "Mistral": [calling(call("weather", OSLO, index=0, id="c1"), reason="tool_calls")],
    # THU-MAIC/OpenMAIC#1556, open-webui/computer#224, googleapis/python-genai#2868: no index, and `stop` at the end
    "Gemini": [
        calling(call("weather", '{"city": ', id="c1", type="function"), role="assistant"),
        calling(call(arguments='"Oslo"}')),
        chunk("stop"),
    ],
    # sgl-project/sglang (InternLM/lmdeploy#3412): the same id in each fragment
    "SGLang": [
        calling(call("weather", "", index=0, id="c1")),
        *(calling(call(None, piece, index=0, id="c1")) for piece in ('{"city": ', '"Oslo"}')),
        chunk("tool_calls"),
    ],
    # BerriAI/litellm#37792: the arguments are an object, the answer ends with `stop`
    "Ollama behind a gateway": [calling(call("weather", {"city": "Oslo"}, index=0, id="c1")), chunk("stop")],
    # aws-samples/bedrock-access-gateway#134, router-for-me/CLIProxyAPI#5229: the index counts the text before it too
    "Bedrock": [
        chunk(content=""),
        calling(call("weather", "", index=1, id="c1")),
        calling(call(arguments=OSLO, index=1)),
        chunk("tool_calls"),
    ],
    # dirac-run/dirac#215: the index goes up with each fragment
    "Nebius": [
        calling(call("weather", '{"city": ', index=0, id="c1")),
        calling(call(arguments='"Os', index=1)),
        calling(call(arguments='lo"}', index=2)),
        chunk("tool_calls"),
    ],
    # NVIDIA-NeMo/Switchyard#785, openai/openai-agents-python#326: the name in pieces
    "a name in pieces": [
        calling(call("wea", "", index=0, id="c1")),
        calling(call("ther", "", index=0)),
        calling(call(None, OSLO, index=0)),
        chunk("tool_calls"),
    ],
    "a name and an id in each fragment": [
        *(calling(call("weather", piece, index=0, id="c1")) for piece in ("", '{"city": ', '"Oslo"}')),
        chunk("tool_calls"),
    ],
    "a new id in each fragment": [
        calling(call("weather", "", index=0, id="c1")),
        calling(call(None, '{"city": ', index=0, id="c2")),
        calling(call(None, '"Oslo"}', index=0, id="c3")),
        chunk("tool_calls"),
    ],
    "the whole call once more at the end": [
        calling(call("weather", '{"city": ', index=0, id="c1")),
        calling(call(None, '"Oslo"}', index=0)),
        calling(call("weather", OSLO, index=0, id="c1")),
        chunk("tool_calls"),
    ],
    "a message that repeats it": [
        calling(call("weather", OSLO, index=0, id="c1")),
        {"choices": [{"message": {"tool_calls": [call("weather", OSLO, id="c1")]}, "finish_reason": "tool_calls"}]},
    ],
    # chatanywhere/GPT_API_free#384: nothing in the deltas
    "only in a message at the end": [
        {"choices": [{"delta": {}, "message": {"tool_calls": [call("weather", OSLO, id="c1")]}}]},
        chunk("tool_calls"),
    ],
    "an entry without `function`": [
        calling({"index": 0, "id": "c1", "name": "weather", "arguments": OSLO}),
        chunk("tool_calls"),
    ],
    "one entry instead of a list": [chunk(tool_calls=call("weather", OSLO, id="c1")), chunk("tool_calls")],
    # vercel/ai#20203: an empty list in each delta
    "empty lists": [
        calling(content=None),
        calling(call("weather", OSLO, index=0, id="c1")),
        calling(),
        calling(reason="tool_calls"),
    ],
    "entries of no use": [
        calling(None, 12, {}, {"function": None}, {"index": True, "id": [], "function": {"name": 5, "arguments": 5}}),
        calling(call("weather", OSLO, index=0, id="c1")),
        chunk("tool_calls"),
    ],
    "Anthropic's reason": [calling(call("weather", OSLO, index=0, id="c1")), chunk("tool_use")],
}  # fmt: skip


@pytest.mark.parametrize("shape", ONE)
def test_one_call_is_read(shape):
    assert read(*ONE[shape]) == ([ToolCall("weather", OSLO, "c1")], "")


TWO = {
    # QwenLM/Qwen-Agent#943
    "OpenAI, interleaved": [
        calling(call("weather", "", index=0, id="c1"), call("weather", "", index=1, id="c2")),
        calling(call(arguments='{"city": ', index=0)),
        calling(call(arguments='{"city": "Ro', index=1)),
        calling(call(arguments='"Oslo"}', index=0), call(arguments='me"}', index=1)),
        chunk("tool_calls"),
    ],
    # comet-ml/opik#7385: both whole in one delta
    "Mistral": [
        calling(call("weather", OSLO, index=0, id="c1"), call("weather", ROME, index=1, id="c2"), reason="tool_calls")
    ],
    # InternLM/lmdeploy#3412, ai-dynamo/dynamo#4723: the index is always 0
    "vLLM, index 0": [
        calling(call("weather", "", index=0, id="c1")),
        calling(call(None, OSLO, index=0, id="")),
        calling(call("weather", "", index=0, id="c2")),
        calling(call(None, ROME, index=0, id="")),
        chunk("tool_calls"),
    ],
    # huggingface/smolagents#1958: whole calls, all with the index 0
    "Ollama": [
        calling(call("weather", OSLO, index=0, id="c1")),
        calling(call("weather", ROME, index=0, id="c2")),
        chunk("stop"),
    ],
    "the same index in one chunk": [
        calling(call("weather", OSLO, index=0, id="c1"), call("weather", ROME, index=0, id="c2")),
        chunk("tool_calls"),
    ],
    # dyedd/lens#49, open-webui/computer#224: no index
    "Gemini": [
        calling(call("weather", OSLO, id="c1")),
        calling(call("weather", ROME, id="c2")),
        chunk("stop"),
    ],
    "no index in one chunk": [
        calling(call("weather", OSLO, id="c1"), call("weather", ROME, id="c2")),
        chunk("tool_calls"),
    ],
    "no index in fragments side by side": [
        calling(call("weather", "", id="c1"), call("weather", "", id="c2")),
        calling(call(arguments=OSLO), call(arguments=ROME)),
        chunk("tool_calls"),
    ],
    # router-for-me/CLIProxyAPI#5229
    "an index that begins at 1": [
        calling(call("weather", OSLO, index=1, id="c1")),
        calling(call("weather", ROME, index=2, id="c2")),
        chunk("tool_calls"),
    ],
    "an id that goes on while the index does": [
        calling(call("weather", '{"city": ', index=0, id="c1")),
        calling(call(None, '"Oslo"}', index=1, id="c1")),
        calling(call("weather", ROME, index=2, id="c2")),
        chunk("tool_calls"),
    ],
    "a message": [
        {"choices": [{"message": {"tool_calls": [call("weather", OSLO, id="c1"), call("weather", ROME, id="c2")]}}]},
        chunk("tool_calls"),
    ],
}


@pytest.mark.parametrize("shape", TWO)
def test_parallel_calls_are_read_apart(shape):
    assert read(*TWO[shape])[0] == [ToolCall("weather", OSLO, "c1"), ToolCall("weather", ROME, "c2")]


WITHOUT_IDS = {
    # THU-MAIC/OpenMAIC#1556
    "no index": [calling(call("weather", OSLO)), calling(call("time", ROME))],
    "no index, one chunk": [calling(call("weather", OSLO), call("time", ROME))],
    "index 0": [calling(call("weather", OSLO, index=0)), calling(call("time", ROME, index=0))],
    "ids that are none": [calling(call("weather", OSLO, id="null")), calling(call("time", ROME, id=None))],
    "fragments": [
        calling(call("weather", "", index=0), call("time", "", index=1)),
        calling(call(arguments=OSLO, index=0), call(arguments=ROME, index=1)),
    ],
}


@pytest.mark.parametrize("shape", WITHOUT_IDS)
def test_calls_without_ids_are_read_apart(shape):
    expected = [ToolCall("weather", OSLO), ToolCall("time", ROME)]
    assert read(*WITHOUT_IDS[shape], chunk("tool_calls"))[0] == expected


@pytest.mark.parametrize(
    "entries",
    [
        [call("dice", "{}"), call("dice", "{}")],
        [call("dice", "{}", id="1", index=0), call("dice", "{}", id="1", index=1)],  # an id that comes twice
        [call("dice", "{}", id="1", index=0), call("dice", "{}", id="2", index=0)],
        [call("dice", "", id="1", index=0), call("dice", "", id="2", index=1)],
    ],
    ids=range(4),
)
def test_equal_calls_are_two_calls(entries):
    assert [each.name for each in read(*map(calling, entries), chunk("tool_calls"))[0]] == ["dice", "dice"]
    assert [each.name for each in read(calling(*entries), chunk("tool_calls"))[0]] == ["dice", "dice"]


@pytest.mark.parametrize(
    "deltas",
    [
        # openai/openai-node#188: before there were tools, with the name and the arguments in pieces
        [{"name": "wea", "arguments": ""}, {"name": "ther"}, {"arguments": '{"city": '}, {"arguments": '"Oslo"}'}],
        [{"name": "weather", "arguments": OSLO}],
    ],
    ids=["pieces", "whole"],
)
def test_a_function_call_is_a_call(deltas):
    stream = [*(chunk(function_call=each) for each in deltas), chunk("function_call")]
    assert read(*stream)[0] == [ToolCall("weather", OSLO)]


def test_text_before_a_call_is_text():
    stream = [chunk(content="I look."), calling(call("weather", OSLO, id="c1")), chunk("tool_calls")]
    assert read(*stream) == ([ToolCall("weather", OSLO, "c1")], "I look.")
    assert read(chunk(content="I look."), {"choices": [{"message": {"tool_calls": [call("weather", OSLO, id="c1")]}}]},
                chunk("tool_calls")) == ([ToolCall("weather", OSLO, "c1")], "I look.")  # fmt: skip


def test_a_whole_answer_has_its_calls():
    whole = {"choices": [{"message": {"content": None, "tool_calls": [call("weather", OSLO, id="c1")]}}]}
    reader = DeltaReader()
    deltas = [*reader.feed(json.dumps(whole).encode()), *reader.end()]
    assert [each for delta in deltas for each in delta.calls] == [ToolCall("weather", OSLO, "c1")]
    assert reader.finish_reason is FinishReason.STOP


def test_what_the_server_wants_back_is_kept_also_if_it_comes_alone():
    """Gemini's signature of a thought (open-webui/computer#224)."""
    with_it = calling({**call("weather", OSLO, id="c1"), "extra_content": SIGNATURE})
    later = [calling(call("weather", OSLO, id="c1")), calling({"extra_content": SIGNATURE})]
    for stream in ([with_it], later):
        assert read(*stream, chunk("stop"))[0] == [ToolCall("weather", OSLO, "c1", SIGNATURE)]


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_answer_that_was_cut_has_no_calls(reason):
    assert read(calling(call("weather", '{"city": "Os', index=0, id="c1")), chunk(reason))[0] == []


def test_an_answer_that_failed_has_no_calls():
    with pytest.raises(ModelFailed):
        read(calling(call("weather", OSLO, index=0, id="c1")), chunk("error"))
    with pytest.raises(ModelFailed):
        read(calling(call("weather", OSLO, index=0, id="c1")))


def test_an_answer_of_calls_is_over_with_its_reason():
    """So the worker does not wait for a server that leaves its connection open."""
    reader = DeltaReader()
    list(reader.feed(events(calling(call("weather", OSLO, index=0, id="c1")))))
    assert not reader.may_be_over
    list(reader.feed(events(chunk("tool_calls"))))
    assert reader.settled
    assert reader.is_over


def test_a_call_without_a_name_is_one_the_model_hears_of():
    assert read(calling(call(arguments=OSLO, id="c1")), chunk("tool_calls"))[0] == [ToolCall("", OSLO, "c1")]


def test_arguments_that_are_cut_in_the_middle_of_a_character_are_whole():
    first, second = '{"x": "\ud83d', '\ude42"}'
    stream = calling(call("f", first, index=0, id="1")), calling(call(None, second, index=0)), chunk("tool_calls")
    assert read(*stream)[0] == [ToolCall("f", '{"x": "🙂"}', "1")]


def test_an_answer_has_a_number_of_calls():
    stream = [calling(call("f", "{}", index=number, id=f"c{number}")) for number in range(MAX_CALLS + 1)]
    assert [each.id for each in read(*stream, chunk("tool_calls"))[0]] == [f"c{number}" for number in range(MAX_CALLS)]


def test_calls_without_an_end_are_a_failure():
    piece = calling(call(arguments="x" * 10_000, index=0))
    with pytest.raises(ModelFailed, match="tool calls of over"):
        read(*[piece] * (MAX_CALLS_BYTES // 10_000 + 1))


def test_many_small_fragments_are_one_call():
    text = json.dumps({"x": "я" * 20_000}, ensure_ascii=False)
    reader = CallReader()
    reader.feed({"tool_calls": [call("f", "", index=0, id="1")]})
    for piece in text:
        reader.feed({"tool_calls": [call(None, piece, index=0)]})
    assert reader.calls() == (ToolCall("f", text, "1"),)


@pytest.mark.parametrize(
    "extra", [None, [], {}, "x", {"x": "\ud83d"}, {"x": float("nan")}, {"x": "x" * MAX_EXTRA_BYTES}], ids=range(7)
)
def test_what_cannot_go_back_is_left_out(extra):
    reader = CallReader()
    reader.feed({"tool_calls": [{**call("f", "{}"), "extra_content": extra}]})
    assert reader.calls() == (ToolCall("f", "{}"),)


TOKENS = st.sampled_from(["", "{", "}", "{}", OSLO, '{"a": ', '"b"}', "\ud83d", "\ude42", "null", "12"])
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "index": st.sampled_from([0, 1, -1, None, "0"]),
        "id": st.sampled_from(["", "a", "b", None, 5]),
        "extra_content": st.sampled_from([None, SIGNATURE, {"x": "\ud83d"}]),
        "function": st.fixed_dictionaries(
            {}, optional={"name": st.sampled_from(["", "f", "g", None]), "arguments": TOKENS | st.just({"a": 1})}
        ),
    },
)


@given(st.lists(st.lists(ENTRY | st.none(), max_size=3), max_size=8))
def test_any_entries_are_calls_that_can_be_sent_back(chunks):
    reader = CallReader()
    for entries in chunks:
        reader.feed({"tool_calls": entries})
    calls = reader.calls()
    assert all(each.name or each.arguments for each in calls)
    sent = list(messages([Step(tuple(AnsweredCall(each, "done") for each in calls))], with_reasoning=False))
    json.dumps(sent, ensure_ascii=False, allow_nan=False).encode()
    ids = [each["id"] for each in sent[0]["tool_calls"]]
    assert len(set(ids)) == len(ids) == len(calls)
    assert [each["tool_call_id"] for each in sent[1:]] == ids
    assert all(isinstance(json.loads(each["function"]["arguments"]), dict) for each in sent[0]["tool_calls"])


@given(
    st.lists(
        st.tuples(st.sampled_from(["f", "g"]), st.dictionaries(st.text(max_size=3), st.text(max_size=9))), max_size=4
    ),
    st.lists(st.integers(0, 60), max_size=6),
    st.booleans(),
)
def test_openais_fragments_are_the_calls_however_they_are_cut(asked, cuts, with_index):
    reader = CallReader()
    for number, (name, arguments) in enumerate(asked):
        text = json.dumps(arguments)
        place = {"index": number} if with_index else {}
        reader.feed({"tool_calls": [call(name, "", id=f"c{number}", **place)]})
        ends = [*sorted(min(cut, len(text)) for cut in cuts), len(text)]
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            reader.feed({"tool_calls": [call(None, text[start:end], **place)]})
    expected = [(name, arguments, f"c{number}") for number, (name, arguments) in enumerate(asked)]
    assert [(each.name, json.loads(each.arguments), each.id) for each in reader.calls()] == expected


def back(*calls, text="", reasoning="", with_reasoning=False):
    """Return the messages for the model about these calls of one step."""
    answered = tuple(AnsweredCall(each, "sun") for each in calls)
    return list(messages([Step(answered, text, reasoning)], with_reasoning))


class TestMessages:
    def test_they_are_openais(self):
        assert back(ToolCall("weather", OSLO, "c1"), text="I look.") == [
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "sun"},
        ]

    def test_without_text_there_is_no_content(self):
        """Anthropic refuses blank text, OpenAI takes null beside calls (API reference, "Create chat completion")."""
        assert back(ToolCall("weather", OSLO, "c1"))[0]["content"] is None

    def test_missing_and_doubled_ids_are_replaced_by_nine_letters_and_digits(self):
        """karthink/gptel#1203: Mistral takes no others, and the other servers take any."""
        sent = back(*(ToolCall("f", "{}", each) for each in ("", "same", "same", "")))
        assert [each["id"] for each in sent[0]["tool_calls"]] == ["call00000", "same", "call00002", "call00003"]

    def test_ids_are_different_in_all_steps(self):
        step = Step((AnsweredCall(ToolCall("f", "{}"), "1"),))
        sent = list(messages([step, step], with_reasoning=False))
        assert [each["tool_call_id"] for each in sent if each["role"] == "tool"] == ["call00000", "call00001"]

    @pytest.mark.parametrize(
        ("arguments", "sent"),
        [
            # vllm-project/vllm#43995, sgl-project/sglang#28035, noonghunna/club-3090#1195 (llama.cpp): each refuses the
            # conversation from then on
            *((broken, "{}") for broken in ("", '{"city": "Os', "[]", '"x"', "null", "[" * 100_000, "{" * 9)),
            ('{"city": "Осло\nи Рим"}', '{"city": "Осло\\nи Рим"}'),
            ('{"x": NaN, "y": Infinity}', '{"x": null, "y": null}'),
            ('{"x": "\\ud83d"}', '{"x": "\ufffd"}'),
        ],
    )
    def test_arguments_are_a_json_object(self, arguments, sent):
        assert back(ToolCall("f", arguments))[0]["tool_calls"][0]["function"]["arguments"] == sent

    @pytest.mark.parametrize(
        ("name", "sent"), [("", "unknown"), ("погода!", "_"), ("functions.f", "functions_f"), ("x" * 99, "x" * 64)]
    )
    def test_a_name_has_only_what_a_name_may_have(self, name, sent):
        assert back(ToolCall(name, "{}"))[0]["tool_calls"][0]["function"]["name"] == sent

    def test_what_the_server_wants_back_goes_back(self):
        assert back(ToolCall("f", "{}", "c1", SIGNATURE))[0]["tool_calls"][0]["extra_content"] == SIGNATURE

    def test_reasoning_goes_back_only_to_a_server_that_asks_for_it(self):
        assert "reasoning_content" not in back(ToolCall("f", "{}"), reasoning="Hm.")[0]
        sent = back(ToolCall("f", "{}"), reasoning="Hm.", with_reasoning=True)
        assert sent[0]["reasoning_content"] == "Hm."
        assert "reasoning_content" not in sent[1]
