"""Tool calls of the built-in model: in OpenAI's shape, and as strict as OpenAI with what comes back."""

import json
from collections.abc import Iterator

import openai
import pytest
from parley.llm.completions import Completion
from parley.llm.requests import BadRequestError, parse

from handlers.chat.records import Role, ToolCall
from handlers.chat.replies.deltas import DeltaReader
from handlers.chat.replies.messages import PromptMessage as Asked
from handlers.chat.replies.request import Request
from handlers.chat.replies.tool_calls import AnsweredCall, Step
from tests.support.model_server import ModelServer
from tests.support.streams import DONE, events

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
OSLO, ROME = '/tool weather {"city": "Oslo"}', '/tool weather {"city": "Rome"}'


@pytest.fixture(scope="module")
def fast() -> Iterator[ModelServer]:
    with ModelServer(tokens_per_second=0) as served:
        yield served


def user(text):
    return {"role": "user", "content": text}


def body(*messages, **fields):
    return json.dumps({"messages": list(messages), "tools": [WEATHER], **fields}).encode()


def whole(*messages, **fields):
    """Return the message of an answer, and its finish reason."""
    [choice] = Completion.of(parse(body(*messages, **fields), "m"), "chatcmpl-" + "a" * 32, 0).whole()["choices"]
    return choice["message"], choice["finish_reason"]


def called(*messages, **fields):
    """Return the text of an answer, and its calls as names and arguments."""
    message, _ = whole(*messages, **fields)
    functions = [each["function"] for each in message.get("tool_calls", ())]
    return message["content"], [(each["name"], each["arguments"]) for each in functions]


def results(message, *texts):
    """Return a message with calls, and the messages with their results."""
    answers = zip(message["tool_calls"], texts, strict=True)
    return [message, *({"role": "tool", "tool_call_id": each["id"], "content": text} for each, text in answers)]


class TestCalls:
    def test_a_command_calls_a_tool(self):
        assert called(user(OSLO)) == (None, [("weather", '{"city": "Oslo"}')])
        assert whole(user(OSLO))[1] == "tool_calls"

    def test_several_lines_are_parallel_calls_and_other_lines_are_said_before(self):
        calls = [("weather", '{"city": "Oslo"}'), ("weather", '{"city": "Rome"}')]
        assert called(user(f"{OSLO}\nI look.\n\n{ROME}\n")) == ("I look.", calls)

    def test_ids_are_different(self):
        ids = [each["id"] for each in whole(user(f"{OSLO}\n{OSLO}"))[0]["tool_calls"]]
        assert len(set(ids)) == 2

    @pytest.mark.parametrize(
        ("line", "call"),
        [
            ("/tool now", ("now", "{}")),
            ("/tool unknown_tool {}", ("unknown_tool", "{}")),
            ('/tool weather {"city": ', ("weather", '{"city":')),
            ("/tool weather не JSON", ("weather", "не JSON")),
        ],
    )
    def test_what_is_wrong_is_sent_as_it_is(self, line, call):
        assert called(user(line)) == (None, [call])

    @pytest.mark.parametrize("text", ["/tool", "/tools weather {}", f"Please: {OSLO}", "/then", "Hello"])
    def test_other_messages_are_answered(self, text):
        assert called(user(text))[1] == []

    @pytest.mark.parametrize("fields", [{"tools": None}, {"tool_choice": "none"}])
    def test_without_tools_nothing_is_called(self, fields):
        text, calls = called(user(OSLO), **fields)
        assert calls == []
        assert OSLO in text


class TestSteps:
    def test_the_last_answer_says_what_the_tools_returned(self):
        asked = user(f"{OSLO}\n{ROME}")
        first, _ = whole(asked)
        assert called(asked, *results(first, "sun", "rain")) == (
            *("The tool weather returned: sun\nThe tool weather returned: rain", []),
        )

    def test_it_does_in_the_language_of_the_question(self):
        asked = user('/tool weather {"city": "Осло"}')
        first, _ = whole(asked)
        assert called(asked, *results(first, "дождь"))[0] == "Инструмент weather вернул: дождь"

    def test_calls_after_then_wait_for_those_before(self):
        asked = user(f"{OSLO}\n/then\n{ROME}\nAnd Rome.")
        first, _ = whole(asked)
        second, _ = whole(asked, *results(first, "sun"))
        assert (first["content"], len(first["tool_calls"])) == (None, 1)
        assert (second["content"], second["tool_calls"][0]["function"]["arguments"]) == (
            "And Rome.",
            '{"city": "Rome"}',
        )
        text, calls = called(asked, *results(first, "sun"), *results(second, "rain"))
        assert (text, calls) == ("The tool weather returned: sun\nThe tool weather returned: rain", [])

    def test_a_loop_has_no_end_until_it_may_call_no_more(self):
        asked = [user("/loop weather {}")]
        for _ in range(20):
            message, reason = whole(*asked)
            assert reason == "tool_calls"
            asked += results(message, "sun")
        assert called(*asked, tool_choice="none") == ("\n".join(["The tool weather returned: sun"] * 20), [])

    def test_the_next_question_begins_anew(self):
        first, _ = whole(user(OSLO))
        earlier = [user(OSLO), *results(first, "sun"), {"role": "assistant", "content": "Sun."}]
        assert called(*earlier, user(ROME))[1] == [("weather", '{"city": "Rome"}')]
        assert "You wrote: “Hello”" in called(*earlier, user("Hello"))[0]


class TestStream:
    def test_it_has_openais_shape(self, fast):
        chunks = list(fast.stream(OSLO, tools=[WEATHER]))
        opening, first, *pieces, last = chunks
        assert (opening.choices[0].delta.role, opening.choices[0].delta.content) == ("assistant", None)
        [begun] = first.choices[0].delta.tool_calls
        assert (begun.index, begun.type, begun.function.name, begun.function.arguments) == (
            0,
            "function",
            "weather",
            "",
        )
        assert begun.id.startswith("call_")
        fragments = [each for chunk in pieces for each in chunk.choices[0].delta.tool_calls]
        assert {(each.index, each.id, each.function.name) for each in fragments} == {(0, None, None)}
        assert len(fragments) > 1
        assert "".join(each.function.arguments for each in fragments) == '{"city": "Oslo"}'
        assert last.choices[0].finish_reason == "tool_calls"

    def test_the_client_of_openai_puts_it_together(self, fast):
        asked = [user(f"I\n{OSLO}"), user(f"{OSLO}\n{ROME}\nI look.")]
        with fast.client.chat.completions.stream(model="m", messages=asked, tools=[WEATHER]) as stream:
            message = stream.get_final_completion().choices[0].message
        assert message.content == "I look."
        assert [each.function.arguments for each in message.tool_calls] == ['{"city": "Oslo"}', '{"city": "Rome"}']

    def test_a_limit_cuts_the_arguments(self, fast):
        *_, last = fast.stream(OSLO, tools=[WEATHER], max_tokens=3)
        assert last.choices[0].finish_reason == "length"

    def test_the_usage_counts_the_calls(self, fast):
        *_, last = fast.stream(OSLO, tools=[WEATHER], stream_options={"include_usage": True})
        assert last.usage.completion_tokens > 3

    def test_the_worker_reads_it_and_its_answer_is_taken(self):
        """The same code as in a turn, without what is between."""
        question = f"{OSLO}\n{ROME}"
        completion = Completion.of(parse(body(user(question)), "m"), "chatcmpl-" + "a" * 32, 0)
        chunks = [completion.opening(), *map(completion.chunk, completion.deltas), *completion.closing()]
        reader = DeltaReader()
        deltas = [*reader.feed(events(*chunks) + DONE), *reader.end()]
        calls = [call for delta in deltas for call in delta.calls]
        assert [(call.name, call.arguments) for call in calls] == [
            *(("weather", '{"city": "Oslo"}'), ("weather", '{"city": "Rome"}')),
        ]
        steps = (Step(tuple(AnsweredCall(call, "sun") for call in calls)),)
        request = Request((Asked(Role.USER, question),), tools=[WEATHER], steps=steps)
        text, more = called(*request.conversation())
        assert (text, more) == ("The tool weather returned: sun\nThe tool weather returned: sun", [])

    def test_calls_that_were_wrong_are_taken_too(self):
        wrong = [ToolCall("погода", "{broken", "same"), ToolCall("", "", "same")]
        steps = (Step(tuple(AnsweredCall(call, "") for call in wrong)),)
        request = Request((Asked(Role.USER, OSLO),), tools=[WEATHER], steps=steps)
        assert called(*request.conversation())[1] == []


CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "sun"}


def assistant(*calls):
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


class TestRefused:
    @pytest.mark.parametrize(
        ("messages", "reason"),
        [
            ([RESULT], "messages with role 'tool' must be a response"),
            ([user("x"), RESULT], "messages with role 'tool' must be a response"),
            ([assistant(CALL), RESULT, RESULT], "messages with role 'tool' must be a response"),
            ([assistant(CALL), {**RESULT, "tool_call_id": "c2"}], "messages with role 'tool' must be a response"),
            ([assistant(CALL), {"role": "tool", "content": "sun"}], "messages with role 'tool' must be a response"),
            ([assistant(CALL)], "did not have response messages: c1"),
            ([assistant(CALL), user("x"), RESULT], "did not have response messages: c1"),
            ([assistant(CALL, {**CALL, "id": "c2"}), RESULT], "did not have response messages: c2"),
            *(
                ([assistant(odd), RESULT], "messages[0].tool_calls[0]")
                for odd in (
                    *(None, {}, {**CALL, "id": None}, {**CALL, "function": None}),
                    *({**CALL, "function": odd} for odd in ({"name": "weather"}, {"arguments": "{}"})),
                    *({**CALL, "function": {"name": odd, "arguments": "{}"}} for odd in ("", "погода", "x" * 65)),
                    {**CALL, "function": {"name": "weather", "arguments": {}}},
                )
            ),
            ([assistant()], "messages[0].tool_calls"),
        ],
    )  # fmt: skip
    def test_messages_that_openai_refuses(self, messages, reason):
        with pytest.raises(BadRequestError) as refused:
            parse(body(*messages), "m")
        assert reason in str(refused.value)

    @pytest.mark.parametrize("tools", [5, [], {}, [None], [{"type": "function"}], [{"function": {"name": "не то"}}]])
    def test_tools_that_are_none(self, tools):
        with pytest.raises(BadRequestError) as refused:
            parse(body(user("x"), tools=tools), "m")
        assert refused.value.param.startswith("tools")

    def test_a_choice_without_tools(self, fast):
        with pytest.raises(openai.BadRequestError, match="only allowed when 'tools' are specified"):
            fast.whole("x", tool_choice="none")
