"""The request that follows a refusal. Each refusal was seen by the users of a server; its source is the thread."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.records import Role
from handlers.chat.replies.messages import PromptMessage
from handlers.chat.replies.request import MAX_HALVINGS, Dialect, Refusal, Request, after, may_bill

CONTEXT = "This model's maximum context length is 4097 tokens. However, "
UNSUPPORTED = {"type": "invalid_request_error", "code": "unsupported_parameter"}
USE_THE_OTHER = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
)


def openai(message, param=None, code=None):
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def extra(option, value):
    detail = [
        {"type": "extra_forbidden", "loc": ["body", option], "msg": "Extra inputs are not permitted", "input": value}
    ]
    return {
        "object": "error",
        "message": {"detail": detail},
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


TOO_LONG = {
    # github.com/chathub-dev/chathub/issues/126
    "OpenAI": (400, openai(f"{CONTEXT}your messages resulted in 4294 tokens.", "messages", "context_length_exceeded")),
    # github.com/vllm-project/vllm/pull/33425
    "vLLM": (400, {"error": {"message": f"{CONTEXT}your request has 5000 input tokens. Please reduce the length of the"
             " input messages. (parameter=input_tokens, value=5000)", "type": "BadRequestError",
             "param": "input_tokens", "code": 400}}),
    # github.com/ggml-org/llama.cpp/pull/15780, and with 400 github.com/oobabooga/textgen/issues/7257
    "llama.cpp before": (500, {"error": {"code": 500, "message": "the request exceeds the available context size. try"
             " increasing the context size or enable context shift", "type": "exceed_context_size_error",
             "n_prompt_tokens": 1407, "n_ctx": 256}}),
    "llama.cpp": (400, {"error": {"code": 400, "message": "the request exceeds the available context size, try"
             " increasing it", "type": "exceed_context_size_error", "n_prompt_tokens": 14429, "n_ctx": 8192}}),
    # github.com/fedora-copr/logdetective-website/pull/193
    "llama-cpp-python": (500, {"error": {"message": "Requested tokens (2285) exceed context window of 2048"}}),
    # github.com/anthropics/claude-code/issues/62560
    "Anthropic": (400, {"type": "error", "error": {"type": "invalid_request_error",
                  "message": "prompt is too long: 211180 tokens > 200000 maximum"}}),
    # github.com/google-gemini/gemini-cli/issues/6678: the body is a list
    "Gemini": (400, [{"error": {"code": 400, "message": "The input token count (1200293) exceeds the maximum number of"
               " tokens allowed (1048576).", "status": "INVALID_ARGUMENT"}}]),
    # github.com/continuedev/continue/issues/10218
    "Groq, a large request": (413, openai("Request too large for model `m` on tokens per minute (TPM): Limit 12000,"
               " Requested 14137, please reduce your message size and try again.", None, "rate_limit_exceeded")),
    # github.com/huggingface/text-generation-inference/issues/695
    "TGI": (422, {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 1168."}),
    # github.com/huggingface/huggingface_hub/issues/1735
    "Hugging Face": (400, {"error": "Input is too long for this model, shorten your input"}),
    # github.com/vllm-project/vllm/issues/4667
    "vLLM, no room for a reply": (400, {"object": "error", "message": "max_tokens must be at least 1, got -186.",
                                  "type": "BadRequestError", "param": None, "code": 400}),
}  # fmt: skip

TOO_LONG_WITH_THE_REPLY = {
    # github.com/Azure-Samples/azure-search-openai-demo/issues/1199
    "Azure": (400, openai(f"{CONTEXT}you requested 4201 tokens (3177 in the messages, 1024 in the completion).",
              "messages", "context_length_exceeded")),
    # github.com/evalstate/fast-agent/issues/621
    "DeepSeek": (400, openai(f"{CONTEXT}you requested 131134 tokens (122942 in the messages, 8192 in the completion)."
                 " Please reduce the length of the messages or completion.", None, "invalid_request_error")),
    # github.com/thepersonalaicompany/amurex-backend/issues/51
    "Groq": (400, openai("Please reduce the length of the messages or completion.", "messages",
             "context_length_exceeded")),
    # github.com/claude-code-best/claude-code/issues/272
    "vLLM before": (400, openai("'max_tokens' or 'max_completion_tokens' is too large: 64000. This model's maximum"
                    " context length is 64001 tokens and your request has 24235 input tokens")),
    # github.com/vllm-project/vllm/issues/42474
    "vLLM": (400, openai(f"{CONTEXT}you requested 65535 output tokens and your prompt contains at least 62466 input"
             " tokens, for a total of at least 128001 tokens.")),
    # github.com/musistudio/claude-code-router/issues/252: the other server's answer as a text
    "OpenRouter behind a proxy": (400, openai('{"error":{"message":"This endpoint\'s maximum context length is 65536'
                    ' tokens. However, you requested about 92208 tokens (60833 of text input, 21333 in output)."}}')),
    # github.com/bytedance/UI-TARS-desktop/issues/626
    "TGI": (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 65537. Given: 79993"
            " `inputs` tokens and 1024 `max_new_tokens`"}),
}  # fmt: skip

NO_TEMPERATURE = {
    # github.com/tmc/langchaingo/issues/1355
    "OpenAI, gpt-5": (400, openai("Unsupported value: 'temperature' does not support 0.7 with this model. Only the"
                      " default (1) value is supported.", "temperature", "unsupported_value")),
    # github.com/chatboxai/chatbox/issues/1830
    "OpenAI, o3-mini": (400, {"error": {"message": "Unsupported parameter: 'temperature' is not supported with this"
                        " model.", "param": "temperature", **UNSUPPORTED}}),
    # github.com/openai/openai-python/issues/2072: `param` names another one
    "OpenAI, assistants": (400, {"error": {"message": "Unsupported parameter: 'temperature' is not supported with this"
                           " model.", "param": "model", **UNSUPPORTED}}),
    # github.com/nimbalyst/nimbalyst/issues/199
    "Anthropic": (400, {"type": "error", "error": {"type": "invalid_request_error",
                  "message": "`temperature` is deprecated for this model."}}),
    # github.com/cline/cline/issues/10572
    "Bedrock": (400, {"message": "The model returned the following errors: `temperature` is deprecated for this"
                " model."}),
    # github.com/HKUDS/nanobot/issues/370
    "LiteLLM": (400, openai("litellm.UnsupportedParamsError: gpt-5 models don't support temperature=0.7. Only"
                " temperature=1 is supported.", "None", "400")),
}  # fmt: skip

NO_STREAM_OPTIONS = {
    # github.com/openai/openai-python/issues/1469
    "Azure": (400, openai("Unrecognized request argument supplied: stream_options")),
    # github.com/gpustack/gpustack/issues/429, where vLLM forbids extra inputs
    "vLLM": (400, {"object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), "
             "'msg': 'Extra inputs are not permitted', 'input': {'include_usage': True}}]", "code": 400}),
    # The shape of github.com/editor-code-assistant/eca/issues/231
    "Mistral": (422, extra("stream_options", {"include_usage": True})),
}  # fmt: skip

OTHER_NAME = {
    # github.com/openai/openai-python/issues/1724
    "Azure": (400, openai("Unrecognized request argument supplied: max_completion_tokens")),
    # github.com/editor-code-assistant/eca/issues/231
    "Mistral": (422, extra("max_completion_tokens", 32000)),
}

LIMIT_TOO_LARGE = {
    # github.com/Gitlawb/openclaude/issues/331
    "Volcano Ark": (400, {"error": {"code": "InvalidParameter", "message": "The parameter `max_completion_tokens`"
                    " specified in the request are not valid: integer above maximum value, expected a value <= 12288,"
                    " but got 32000 instead.", "param": "max_completion_tokens", "type": "BadRequest"}}),
    # github.com/scaleway/docs-content/pull/4858
    "Scaleway": (416, openai("max_completion_tokens is limited for this model")),
}  # fmt: skip

NO_SYSTEM = {
    # github.com/vllm-project/vllm/pull/2964, the chat template of Gemma
    "vLLM, Gemma": (400, {"object": "error", "message": "System role not supported", "type": "BadRequestError",
                    "param": None, "code": 400}),
    # github.com/microsoft/autogen/issues/1037, the chat template of Mistral 7B
    "vLLM, Mistral": (400, {"object": "error", "message": "Conversation roles must alternate user/assistant/user/..."}),
    # github.com/mlc-ai/mlc-llm/issues/1681
    "MLC": (500, openai("Only user and assistant roles are supported!")),
    # github.com/animalnots/BetterChatGPT-PLUS/issues/90
    "OpenAI, o1-mini": (400, openai("Unsupported value: 'messages[0].role' does not support 'system' with this model.",
                        "messages[0].role", "unsupported_value")),
    # github.com/microsoft/vscode/issues/258088
    "Gemini, Gemma 3": (400, [{"error": {"code": 400, "message": "Developer instruction is not enabled for models/"
                        "gemma-3-27b-it", "status": "INVALID_ARGUMENT"}}]),
}  # fmt: skip

NO_PARAMETER = {
    # github.com/openai/openai-python/issues/1469, with another argument
    "Azure": (400, openai("Unrecognized request argument supplied: reasoning_effort")),
    # The shape of github.com/editor-code-assistant/eca/issues/231
    "Mistral": (422, extra("reasoning_effort", "low")),
    # The shape of github.com/chatboxai/chatbox/issues/1830
    "OpenAI": (400, {"error": {"message": "Unsupported parameter: 'reasoning_effort' is not supported with this model.",
               "param": "reasoning_effort", **UNSUPPORTED}}),
}  # fmt: skip

NOTHING_TO_CHANGE = {
    "a wrong key": (401, openai("Incorrect API key provided", None, "invalid_api_key")),
    "too many requests": (429, openai("Rate limit reached for max_completion_tokens", None, "rate_limit_exceeded")),
    "an unknown model": (404, openai("The model `m` does not exist", None, "model_not_found")),
    "no reason": (400, openai("no")),
    "no JSON": (400, "<html>Bad Request</html>"),
    "nothing": (400, None),
    "a server's own error": (500, openai("Internal server error")),
    # What we had sent comes back as `input`, and may have any words.
    "our words": (422, {"detail": [{"type": "string_type", "loc": ["body", "messages", 0, "content"],
                  "msg": "Input should be a valid string", "input": "temperature, stream_options, context length"}]}),
}  # fmt: skip

LONG = tuple(
    PromptMessage(role, letter * 100)
    for role, letter in zip([Role.USER, Role.ASSISTANT] * 4 + [Role.USER], "abcdefghi", strict=True)
)
REQUEST = Request(LONG, temperature=0.7, max_tokens=4000)


def follows(refusal, request=REQUEST):
    return after(request, Refusal.of(*refusal))


def table(cases):
    return pytest.mark.parametrize("refusal", cases.values(), ids=cases.keys())


@table(TOO_LONG)
def test_a_prompt_that_is_too_long_is_halved_twice_at_most(refusal):
    unlimited = Request(LONG)
    first = follows(refusal, unlimited)
    second = follows(refusal, first)
    assert (first.messages, second.messages) == (LONG[-3:], LONG[-1:])
    assert follows(refusal, second) is None
    assert (first.dialect, first.limited) == (unlimited.dialect, True)


@table(TOO_LONG_WITH_THE_REPLY)
def test_a_limit_that_does_not_fit_beside_the_prompt_is_left_out_once_and_then_the_prompt_is_halved(refusal):
    first = follows(refusal)
    assert (first.messages, first.dialect, "max_completion_tokens" in first.options()) == (LONG, Dialect(), False)
    assert follows(refusal, first).messages == LONG[-3:]


@table(NO_TEMPERATURE)
def test_a_temperature_that_is_refused_is_left_out(refusal):
    request = follows(refusal)
    assert (request.messages, request.dialect) == (LONG, Dialect(temperature=False))
    assert request.options() == {"stream_options": {"include_usage": True}, "max_completion_tokens": 4000}
    assert follows(refusal, request) is None


@table(NO_STREAM_OPTIONS)
def test_a_server_that_does_not_count_tokens_is_asked_without(refusal):
    request = follows(refusal)
    assert request.options() == {"temperature": 0.7, "max_completion_tokens": 4000}
    assert follows(refusal, request) is None


@table(OTHER_NAME)
def test_a_limit_whose_name_is_unknown_has_the_other_name(refusal):
    sent = follows(refusal).options()
    assert sent == {"temperature": 0.7, "stream_options": {"include_usage": True}, "max_tokens": 4000}


def test_a_server_that_knows_neither_name_is_asked_without_a_limit():
    # github.com/microsoft/vscode-copilot-release/issues/8065, as a server would say that knows no name
    request = follows(
        (400, {"error": {"message": USE_THE_OTHER, "param": "max_tokens", **UNSUPPORTED}}), follows(OTHER_NAME["Azure"])
    )
    assert set(request.options()) == {"temperature", "stream_options"}


@table(LIMIT_TOO_LARGE)
def test_a_limit_above_the_models_own_is_left_out_of_this_request_only(refusal):
    request = follows(refusal)
    assert set(request.options()) == {"temperature", "stream_options"}
    assert request.dialect == Dialect()


INSTRUCTED = replace(REQUEST, instructions="Be brief.", parameters={"reasoning_effort": "low", "top_p": 0.5})


def test_instructions_are_the_first_message_and_parameters_are_options_beside_ours():
    assert INSTRUCTED.conversation()[:2] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a" * 100},
    ]
    assert INSTRUCTED.options() == {"reasoning_effort": "low", "top_p": 0.5, **REQUEST.options()}
    assert REQUEST.conversation() == INSTRUCTED.conversation()[1:]


@table(NO_SYSTEM)
def test_a_model_that_takes_no_message_of_the_system_reads_the_instructions_with_the_first_of_the_user(refusal):
    request = follows(refusal, INSTRUCTED)
    assert request.conversation()[0] == {"role": "user", "content": f"Be brief.\n\n{'a' * 100}"}
    assert request.conversation()[1:] == INSTRUCTED.conversation()[2:]
    assert request.options() == INSTRUCTED.options()
    assert follows(refusal, request) is None
    assert follows(refusal, REQUEST) is None, "there was no such message"


@table(NO_PARAMETER)
def test_a_parameter_that_is_refused_is_left_out(refusal):
    request = follows(refusal, INSTRUCTED)
    assert request.options() == {"top_p": 0.5, **REQUEST.options()}
    assert request.conversation() == INSTRUCTED.conversation()
    assert follows(refusal, request) is None


def test_instructions_stay_when_the_prompt_is_halved():
    request = follows(TOO_LONG["vLLM"], replace(INSTRUCTED, max_tokens=None))
    assert [message["role"] for message in request.conversation()] == ["system", "user", "assistant", "user"]


@table(NOTHING_TO_CHANGE)
def test_other_refusals_end_the_try(refusal):
    assert follows(refusal) is None


def test_without_a_temperature_or_a_limit_none_is_sent():
    assert Request(LONG).options() == {"stream_options": {"include_usage": True}}


ANY_REFUSAL = st.sampled_from(
    [
        refusal
        for cases in (
            *(TOO_LONG, TOO_LONG_WITH_THE_REPLY, NO_TEMPERATURE, NO_STREAM_OPTIONS),
            *(OTHER_NAME, LIMIT_TOO_LARGE, NO_SYSTEM, NO_PARAMETER),
        )
        for refusal in cases.values()
    ]
)


@given(st.lists(ANY_REFUSAL, min_size=20, max_size=20))
def test_no_series_of_refusals_goes_on_for_ever(refusals):
    asked, request = [], INSTRUCTED
    for refusal in refusals:
        asked.append(request)
        if (request := follows(refusal, request)) is None:
            break
        assert request not in asked
        assert request.messages[-1] == LONG[-1]
    assert len(asked) <= 8 + MAX_HALVINGS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "code", "param", "message", "input", "detail"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.integers(400, 599), JSON)
def test_any_body_is_read(status, body):
    after(REQUEST, Refusal.of(status, body))
    assert len(str(Refusal.of(status, body))) < 200


@pytest.mark.parametrize("body", [json.loads("[" * 900 + "]" * 900), "[" * 100_000, {"message": "[" * 9_000}])
def test_a_deep_body_is_read(body):
    assert after(REQUEST, Refusal.of(400, body)) is None


@pytest.mark.parametrize(
    ("refusal", "logged"),
    [
        (NO_TEMPERATURE["OpenAI, gpt-5"], "400, code unsupported_value, param temperature"),
        (TOO_LONG["llama.cpp"], "400, code 400"),
        ((422, {"code": "You wrote: my secret", "param": {"a": "b"}}), "422"),
        ((400, "<html>"), "400"),
    ],
)
def test_a_log_has_the_providers_code_and_param_and_no_sentence(refusal, logged):
    assert str(Refusal.of(*refusal)) == logged


@pytest.mark.parametrize(
    ("status", "billed"),
    [
        *((status, False) for status in (400, 401, 402, 403, 404, 409, 413, 416, 422, 429, 503, 529)),
        *((status, True) for status in (408, 499, 500, 502, 504, 520, 524)),
    ],
)
def test_a_question_that_was_turned_away_is_not_billed(status, billed):
    assert may_bill(status) is billed


class TestAnAnswerThatIsTooLong:
    def test_is_bounded_by_what_is_seen_if_the_server_takes_no_limit(self):
        request = Request(REQUEST.messages, max_tokens=100, dialect=Dialect(limit=None))
        assert [request.is_exceeded(seen, 0) for seen in (100, 101)] == [False, True]

    @pytest.mark.parametrize("dialect", [Dialect(), Dialect(limit="max_tokens")])
    def test_is_left_to_a_server_that_was_told_the_limit_until_it_counts_more(self, dialect):
        request = Request(REQUEST.messages, max_tokens=100, dialect=dialect)
        counts = [(10**6, 0), (10**6, 100), (0, 101)]
        assert [request.is_exceeded(*each) for each in counts] == [False, False, True]

    def test_is_none_without_a_limit(self):
        assert not Request(REQUEST.messages, dialect=Dialect(limit=None)).is_exceeded(10**6, 10**6)
