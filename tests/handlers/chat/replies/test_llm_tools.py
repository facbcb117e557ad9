"""Tools from the model's request to its last answer: real client, the emulator's model, and tools that run."""

from collections.abc import Iterator

import pytest
from openai import AsyncOpenAI

from handlers.chat.assistants import Assistant, ToolContext, ToolError
from handlers.chat.concurrency import Runtime
from handlers.chat.records import FinishReason, Role
from handlers.chat.replies.calls import Call, Caller, Calls
from handlers.chat.replies.llm import Model
from handlers.chat.replies.messages import PromptMessage
from handlers.chat.replies.prompt import Question
from handlers.chat.replies.tool_calls import AnsweredCall, Step
from handlers.chat.replies.toolbox import Toolbox
from tests.support.model_server import ModelServer
from tests.support.waiting import HANGS


def weather(city: str) -> str:
    """Tell the weather.

    Args:
        city: As people write it.
    """
    if city == "Atlantis":
        raise ToolError("There is no such city.")
    return f"sun in {city}"


async def orders(context: ToolContext) -> list[str]:
    """List the orders."""
    return [context.user_id, context.call_id]


ASSISTANT = Assistant(tools=(weather, orders))
BOX = Toolbox(ASSISTANT.own_tools)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with ModelServer(tokens_per_second=0) as served:
        yield Model(AsyncOpenAI(api_key="any", base_url=served.url, max_retries=0, timeout=HANGS), "m", None)


def asked(model, text, *steps, may_call=True):
    """Return the text of one answer, its calls, and its finish reason."""
    question = Question((PromptMessage(Role.USER, text),), ASSISTANT, tools=BOX.schemas, steps=steps, may_call=may_call)
    deltas = list(model.answer(question))
    [reason] = [delta.finish_reason for delta in deltas if delta.finish_reason]
    return "".join(delta.text for delta in deltas), [call for delta in deltas for call in delta.calls], reason


def made(text, calls):
    """Run the calls of an answer, and return it with their results."""
    named = [Call(f"m2-{number}", call) for number, call in enumerate(calls)]
    results = dict(Calls(Runtime()).run(named, BOX, Caller("alice", "chat", lambda: HANGS)))
    return Step(tuple(AnsweredCall(call.asked, results[call].text) for call in named), text)


def replied(model, text):
    """Ask until the model calls nothing more. Return its last answer."""
    steps = []
    while (answer := asked(model, text, *steps))[1]:
        steps.append(made(*answer[:2]))
    assert answer[2] is FinishReason.STOP
    return answer[0]


def test_the_model_calls_and_answers_with_the_results(model):
    question = '/tool weather {"city": "Осло"}\n/tool orders\nI look.\n/then\n/tool weather {"city": "Rome"}'
    first, calls, reason = asked(model, question)
    assert (first, [call.name for call in calls], reason) == ("I look.", ["weather", "orders"], FinishReason.STOP)
    assert replied(model, question).splitlines() == [
        "Инструмент weather вернул: sun in Осло",
        'Инструмент orders вернул: ["alice","m2-1"]',
        "Инструмент weather вернул: sun in Rome",
    ]


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("/tool nothing {}", "There is no tool 'nothing'. The tools are: weather, orders."),
        ('/tool weather {"city": "Oslo', "The arguments of weather cannot be used. Invalid JSON: EOF while parsing"),
        ("/tool weather []", "The arguments of weather cannot be used. Input should be an object."),
        ('/tool weather {"city": "Atlantis"}', "There is no such city."),
    ],
)
def test_what_went_wrong_is_a_result_that_the_model_reads(model, line, result):
    name = line.split()[1]
    assert replied(model, line).startswith(f"The tool {name} returned: {result}")


def test_a_model_that_calls_for_ever_answers_when_it_may_call_no_more(model):
    question = '/loop weather {"city": "Oslo"}'
    steps = []
    for _ in range(8):
        text, calls, _ = asked(model, question, *steps)
        steps.append(made(text, calls))
    text, calls, reason = asked(model, question, *steps, may_call=False)
    assert (text.splitlines(), calls) == (["The tool weather returned: sun in Oslo"] * 8, [])
    assert reason is FinishReason.STOP
