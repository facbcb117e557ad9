"""The request with tools, and what follows if a server refuses it. Each refusal has the thread of its source."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.protocol.parts import CUT, PROMPT_RESULT_CHARS
from handlers.chat.records import Role, ToolCall
from handlers.chat.replies.messages import NO_ANSWER, EarlierCalls, PromptMessage
from handlers.chat.replies.prompt import Question
from handlers.chat.replies.request import Dialect, Refusal, Request, after
from handlers.chat.replies.tool_calls import AnsweredCall, Step


def openai(message, param=None, code=None):
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


NO_TOOLS = {
    # github.com/ollama/ollama/issues/6027
    "Ollama": (400, {"error": {"message": "stablelm2:latest does not support tools", "type": "api_error"}}),
    # github.com/vllm-project/vllm/issues/9986
    "vLLM": (400, {"object": "error", "message": '"auto" tool choice requires --enable-auto-tool-choice and'
             " --tool-call-parser to be set", "type": "BadRequestError", "code": 400}),
    # github.com/evalstate/fast-agent/issues/122
    "OpenRouter": (404, {"error": {"message": "No endpoints found that support tool use. To learn more about provider"
                   " routing, visit: https://openrouter.ai/docs/provider-routing", "code": 404}}),
    # github.com/UKGovernmentBEIS/inspect_ai/pull/1290
    "OpenAI, o1-mini": (404, openai("tools is not supported in this model. For a list of supported models, refer to"
                        " https://platform.openai.com/docs/guides/function-calling")),
    # github.com/defilantech/LLMKube/issues/126, github.com/ggml-org/llama.cpp/issues/10920
    "llama.cpp": (500, {"error": {"message": "tools param requires --jinja flag", "type": "server_error"}}),
    "llama.cpp before": (500, {"error": {"message": "Unsupported param: tools", "type": "server_error"}}),
}  # fmt: skip

NO_TOOL_CHOICE = {
    # github.com/zed-industries/zed/issues/36094
    "OpenRouter": (404, {"error": {"message": "No endpoints found that support the provided 'tool_choice' value. To"
                   " learn more about provider routing, visit: https://openrouter.ai/docs/provider-routing",
                   "code": 404}}),
    # The shape of github.com/BerriAI/litellm/issues/37980
    "LiteLLM, Bedrock": (400, openai("litellm.UnsupportedParamsError: Bedrock doesn't support tool_choice=none."
                         " Supported tool_choice values=['auto', 'required', json object].", "None", "400")),
}  # fmt: skip

WANTS_REASONING = {
    # github.com/JohnnyZ93/oai-compatible-copilot/issues/215, github.com/earendil-works/pi/issues/3636
    "DeepSeek V4": (400, openai("The reasoning_content in the thinking mode must be passed back to the API.", None,
                    "invalid_request_error")),
    "DeepSeek V4 Pro": (400, openai("The `reasoning_content` in the thinking mode must be passed back to the API.")),
    # github.com/abhigyanpatwari/GitNexus/issues/43
    "DeepSeek V3.2": (400, openai("Missing `reasoning_content` field in the assistant message at message index 2. For"
                      " more information, please refer to https://api-docs.deepseek.com/guides/thinking_mode")),
}  # fmt: skip

NOTHING_TO_CHANGE = {
    # github.com/pydantic/pydantic-ai/issues/761: we do not send this one
    "another option": (400, openai("Unsupported parameter: 'parallel_tool_calls' is not supported with this model.",
                       "parallel_tool_calls", "unsupported_parameter")),
    # A tool that its developer has to mend: an answer without it would hide that.
    "a schema": (400, openai("Invalid schema for function 'weather': 'any' is not valid under any of the schemas.",
                 "tools[0].function.parameters", "invalid_function_parameters")),
}  # fmt: skip

WEATHER = {"type": "function", "function": {"name": "weather", "description": "Tell it.", "parameters": {}}}
STEP = Step((AnsweredCall(ToolCall("weather", '{"city": "Oslo"}', "c1"), "sun"),), "I look.", "Hm.")
FIRST = Request((PromptMessage(Role.USER, "Hello"),), tools=[WEATHER])
LATER = replace(FIRST, steps=(STEP,))
LAST = replace(LATER, may_call=False)
EARLIER = PromptMessage(Role.ASSISTANT, "I look.\n\nSun.", (EarlierCalls(7, STEP.calls),))
NEXT = replace(FIRST, messages=(*FIRST.messages, EARLIER, PromptMessage(Role.USER, "And Rome?")))


def follows(refusal, request):
    return after(request, Refusal.of(*refusal))


def table(cases):
    return pytest.mark.parametrize("refusal", cases.values(), ids=cases.keys())


def test_without_tools_a_request_is_as_it_was():
    plain = Request(FIRST.messages)
    assert set(plain.options()) == {"stream_options"}
    assert plain.conversation() == [{"role": "user", "content": "Hello"}]


def test_tools_are_an_option():
    assert FIRST.options()["tools"] == [WEATHER]
    assert "tool_choice" not in FIRST.options()


def test_the_last_question_has_the_tools_and_says_that_none_may_be_called():
    assert LAST.options()["tools"] == [WEATHER]
    assert LAST.options()["tool_choice"] == "none"


@pytest.mark.parametrize("system", [True, False])
def test_calls_and_results_follow_the_prompt(system):
    request = replace(LATER, instructions="Be brief.", dialect=Dialect(system=system))
    roles = [message["role"] for message in request.conversation()]
    assert roles == [*(["system"] if system else []), "user", "assistant", "tool"]
    assert request.conversation()[-2:] == LATER.conversation()[-2:]


def test_earlier_calls_are_sent_between_the_texts_of_their_reply_each_with_its_result():
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    assert NEXT.conversation() == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "I look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sun"},
        {"role": "assistant", "content": "Sun."},
        {"role": "user", "content": "And Rome?"},
    ]


def test_the_ids_of_earlier_calls_are_no_ids_of_this_answers_calls():
    named = replace(STEP, calls=(AnsweredCall(ToolCall("weather", "{}", "call00000"), "sun"),))
    sent = [each["id"] for message in replace(NEXT, steps=(named, STEP, named)).conversation()
            for each in message.get("tool_calls", ())]  # fmt: skip
    assert len(sent) == len(set(sent)) == 4


WITHOUT_EARLIER_CALLS = {
    "no tools of the assistant": replace(NEXT, tools=()),
    "a server without tools": replace(NEXT, dialect=Dialect(tools=False)),
    "a server that does not take them": replace(NEXT, dialect=Dialect(earlier_calls=False)),
}


@pytest.mark.parametrize("request_", WITHOUT_EARLIER_CALLS.values(), ids=WITHOUT_EARLIER_CALLS.keys())
def test_without_tools_only_the_texts_of_earlier_replies_are_sent(request_):
    silent = replace(EARLIER, text="", calls=(EarlierCalls(0, STEP.calls),))
    for reply, text in ((EARLIER, "I look.\n\nSun."), (silent, NO_ANSWER)):
        asked = replace(request_, messages=(NEXT.messages[0], reply, NEXT.messages[-1]))
        assert asked.conversation()[1] == {"role": "assistant", "content": text}
        assert len(asked.conversation()) == 3


@table(NO_TOOLS)
def test_a_model_without_tools_is_asked_without_earlier_calls_too(refusal):
    assert follows(refusal, NEXT).dialect == Dialect(tools=False)


@table(WANTS_REASONING)
def test_a_server_that_wants_the_reasoning_of_earlier_calls_gets_none_of_them(refusal):
    """DeepSeek V4: the reasoning of earlier calls has to come back, and nobody has kept it."""
    second = follows(refusal, NEXT)
    assert second.conversation()[1]["reasoning_content"] == ""
    third = follows(refusal, second)
    assert [message["role"] for message in third.conversation()] == ["user", "assistant", "user"]
    assert follows(refusal, third) is None


@pytest.mark.parametrize(
    "refusal",
    [
        # github.com/NousResearch/hermes-agent/issues/20154
        (400, {"object": "error", "message": "Unexpected role 'user' after role 'tool'",
               "type": "invalid_request_message_order", "code": "3230"}),
        (422, {"detail": "messages.1.tool_calls: extra inputs are not permitted"}),
    ],
    ids=["Mistral", "a server of its own"],
)  # fmt: skip
def test_whatever_a_server_has_against_earlier_calls_it_is_asked_without_them(refusal):
    request = follows(refusal, NEXT)
    assert request == replace(NEXT, dialect=Dialect(earlier_calls=False))
    assert follows(refusal, request) is None
    assert follows(refusal, FIRST) is None


@table(NO_TOOLS)
def test_a_model_without_tools_is_asked_without(refusal):
    request = follows(refusal, FIRST)
    assert request == replace(FIRST, dialect=Dialect(tools=False))
    assert "tools" not in request.options()
    assert follows(refusal, request) is None
    assert follows(refusal, Request(FIRST.messages)) is None


@table(NO_TOOLS)
def test_after_a_call_tools_are_not_left_out(refusal):
    assert follows(refusal, LATER) is None


@table(NO_TOOL_CHOICE)
def test_a_server_that_cannot_be_told_to_call_none_is_not_told(refusal):
    request = follows(refusal, LAST)
    assert request.options() == LATER.options()
    assert follows(refusal, request) is None


@table(WANTS_REASONING)
def test_reasoning_goes_back_to_a_server_that_wants_it(refusal):
    request = follows(refusal, LATER)
    assert request.dialect == Dialect(reasoning=True)
    assert request.conversation()[1]["reasoning_content"] == "Hm."
    assert follows(refusal, request) is None
    assert follows(refusal, FIRST) is None


def test_a_model_that_has_called_badly_is_asked_once_more():
    """github.com/huggingface/smolagents/issues/1119."""
    refusal = (400, openai("Failed to call a function. Please adjust your prompt.", None, "tool_use_failed"))
    request = follows(refusal, FIRST)
    assert (request.options(), request.conversation()) == (FIRST.options(), FIRST.conversation())
    assert follows(refusal, request) is None


@table(NOTHING_TO_CHANGE)
@pytest.mark.parametrize("request_", [FIRST, LATER, LAST], ids=["first", "later", "last"])
def test_other_refusals_end_the_try(refusal, request_):
    assert follows(refusal, request_) is None


def test_a_prompt_that_is_too_long_is_halved_first_and_then_the_results_are_cut():
    too_long = (
        400,
        openai("This model's maximum context length is 4097 tokens.", "messages", "context_length_exceeded"),
    )
    long = AnsweredCall(ToolCall("weather", "{}", "c2"), "x" * 50_000)
    prompt = (
        PromptMessage(Role.USER, "a" * 99),
        PromptMessage(Role.ASSISTANT, "b" * 99),
        PromptMessage(Role.USER, "c"),
    )
    request = replace(LATER, messages=prompt, steps=(STEP, Step((long,))))
    first = follows(too_long, request)
    second = follows(too_long, first)
    assert (len(first.messages), first.steps) == (1, request.steps)
    assert second.steps[0] == STEP
    [cut] = second.steps[1].calls
    assert cut.result == "x" * (PROMPT_RESULT_CHARS - len(CUT)) + CUT
    assert follows(too_long, second) is None


@pytest.mark.parametrize("request_", [FIRST, LATER, LAST, NEXT], ids=["first", "later", "last", "next"])
@given(st.data())
def test_no_series_of_refusals_goes_on_for_ever(request_, data):
    cases = (NO_TOOLS, NO_TOOL_CHOICE, WANTS_REASONING, NOTHING_TO_CHANGE)
    any_of = [*(each for case in cases for each in case.values()), (400, openai("x", None, "tool_use_failed"))]
    asked, request = [], request_
    while request is not None:
        assert request not in asked
        asked.append(request)
        request = follows(data.draw(st.sampled_from(any_of)), request)
    assert len(asked) <= 5


def test_the_budget_counts_what_the_model_reads_of_tools():
    question = Question(FIRST.messages, tools=[WEATHER], steps=(STEP,))
    read = "".join(question.texts)
    for text in ("Hello", "Tell it.", "weather", "Oslo", "sun", "I look.", "Hm."):
        assert text in read
    assert list(Question(FIRST.messages).texts) == ["Hello"]
    assert "".join(Question(NEXT.messages).texts) == 'HelloI look.\n\nSun.weather{"city": "Oslo"}sunAnd Rome?'
