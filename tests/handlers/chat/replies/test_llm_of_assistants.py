"""The request of an assistant, through the real openai client."""

import json
from threading import Thread

import pytest
from openai import AsyncOpenAI

from handlers.chat.assistants import Assistant
from handlers.chat.records import Role
from handlers.chat.replies.llm import Model
from handlers.chat.replies.messages import PromptMessage
from handlers.chat.replies.prompt import Question
from tests.support.completions_server import CompletionsServer

PROMPT = (PromptMessage(Role.USER, "Hi"), PromptMessage(Role.ASSISTANT, "Hello"), PromptMessage(Role.USER, "?"))
SAID = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "?"}]
NO_TEMPERATURE = {"error": {"message": "no", "param": "temperature"}}
NO_SYSTEM = {"error": {"message": "System role not supported"}}


@pytest.fixture
def server():
    server = CompletionsServer()
    server.body = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def model(server):
    url = f"http://127.0.0.1:{server.server_port}/v1"
    return Model(AsyncOpenAI(base_url=url, api_key="k", max_retries=0, timeout=5), "gpt-4o", 0.7, None, 100)


def ask(asked, instructions="", **assistant):
    [delta] = asked.answer(Question(PROMPT, Assistant(**assistant), instructions))
    assert delta.text == "a"


def test_it_names_its_model_with_its_instructions_first_and_its_parameters(server, model):
    more = {"top_p": 0.5, "stop": ["END"]}
    ask(model, "Be brief.", model="small", temperature=0, max_completion_tokens=5, parameters=more)
    assert server.asked == {
        "model": "small",
        "temperature": 0,
        "max_completion_tokens": 5,
        "top_p": 0.5,
        "stop": ["END"],
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "system", "content": "Be brief."}, *SAID],
    }


def test_what_it_does_not_say_is_the_deployments(server, model):
    ask(model)
    asked = server.asked
    assert (asked["model"], asked["temperature"], asked["max_completion_tokens"]) == ("gpt-4o", 0.7, 100)
    assert asked["messages"] == SAID


def test_what_one_model_refuses_another_one_still_gets(server, model):
    server.answers = [(400, json.dumps(NO_TEMPERATURE).encode())]
    for name in ("small", "small", None):
        ask(model, model=name)
    sent = [(request["model"], "temperature" in request) for request in server.requests]
    assert sent == [("small", True), ("small", False), ("small", False), ("gpt-4o", True)]


def test_instructions_of_a_model_without_a_system_come_with_the_first_message(server, model):
    server.answers = [(400, json.dumps(NO_SYSTEM).encode())]
    for _ in range(2):
        ask(model, "Be brief.", model="gemma")
    first, *others = [request["messages"] for request in server.requests]
    assert first[0]["role"] == "system"
    assert others == [[{"role": "user", "content": "Be brief.\n\nHi"}, *SAID[1:]]] * 2
