"""Assistants of a running deployment: the real template, a copy of our functions, and files that come and go."""

import json
import urllib.error
import urllib.request
from threading import Thread

import pytest
from parley.dev_tokens import token

from tests.support import own_project
from tests.support.completions_server import CompletionsServer
from tests.support.devices import SECRET, Device, Emulator
from tests.support.waiting import HANGS, until

TEA = """
from handlers.chat.assistants import Assistant

def instructions(user, chat):
    return f"You serve tea to {user.name}."

assistant = Assistant(
    title={"en": "Tea house", "ru": "Чайная"},
    instructions=instructions,
    model="tea-model",
    temperature=0.0,
    max_completion_tokens=77,
    parameters={"top_p": 0.5},
    starters=("Which tea?",),
)
"""
ANSWER = b'data: {"choices":[{"delta":{"content":"Green"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


@pytest.fixture(scope="module")
def model():
    server = CompletionsServer()
    server.body = ANSWER
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    own_project.copy(folder)
    return folder


@pytest.fixture(scope="module")
def emulator(folder, model):
    emulator = Emulator(
        PARLEY_TEMPLATE=str(folder / "infra" / "template.yaml"),
        PARLEY_IAM="enforce",
        CHAT_LANGUAGE="en",
        INSTRUCTIONS="Be brief.",
        OPENAI_BASE_URL=f"http://127.0.0.1:{model.server_port}/v1",
    )
    yield emulator
    assert emulator.missing() == []
    emulator.stop()


def greeting(emulator):
    return Device(emulator.websocket_url).receive("connected")["data"]


def listed(emulator):
    return [each["id"] for each in greeting(emulator)["assistants"]]


@pytest.fixture
def write(emulator, folder):
    """Return a function that writes a file of an assistant, and deletes it after the test."""
    written = []

    def write_file(name, text):
        written.append(folder / "handlers" / "assistants" / name)
        # As editors do: beside it, then over it.
        beside = written[-1].with_suffix(".tmp")
        beside.write_text(text)
        beside.replace(written[-1])
        return written[-1]

    yield write_file
    for path in written:
        path.unlink(missing_ok=True)
    until(lambda: listed(emulator) == ["default"])


def asked(emulator, method, path, body=None):
    headers = {"Authorization": f"Bearer {token('alice', SECRET)}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{emulator.url}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=HANGS) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def alice(emulator):
    device = Device(emulator.websocket_url)
    device.join("alice")
    return device


def test_the_default_one_has_the_instructions_of_the_template(emulator, model):
    told = greeting(emulator)
    assert told["protocol"] == "1.2"
    assert told["assistants"] == [{"id": "default", "title": "Assistant", "starters": []}]
    device = alice(emulator)
    device.create_chat()
    assert device.ask("Which tea, by default?")[-1]["data"]["content"] == "Green"
    assert model.asked["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Which tea, by default?"},
    ]
    assert (model.asked["model"], model.asked["temperature"]) == ("gpt-4o", 0.7)


def test_one_file_and_no_other_change_is_a_new_assistant(emulator, model, write):
    write("tea_house.py", TEA)
    until(lambda: listed(emulator) == ["default", "tea_house"])
    shown = {"id": "tea_house", "title": "Tea house", "starters": ["Which tea?"]}
    assert greeting(emulator)["assistants"][1] == shown
    until(lambda: shown in asked(emulator, "GET", "/assistants")[1]["assistants"])

    device = alice(emulator)
    device.send("create_chat", assistant="tea_house")
    created = device.receive("chat_created")["data"]
    assert created["assistant"] == "tea_house"
    assert device.ask("Which tea, in the tea house?")[-1]["data"]["finishReason"] == "stop"
    assert model.asked == {
        "model": "tea-model",
        "temperature": 0.0,
        "max_completion_tokens": 77,
        "top_p": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": "You serve tea to alice."},
            {"role": "user", "content": "Which tea, in the tea house?"},
        ],
    }
    joined = alice(emulator).join("alice", created["chatId"])
    assert joined["assistant"] == "tea_house"
    _, page = asked(emulator, "GET", "/chats")
    assert {each["chatId"]: each["assistant"] for each in page["chats"]}[created["chatId"]] == "tea_house"


def test_a_chat_outlives_the_file_of_its_assistant(emulator, write):
    path = write("short_lived.py", TEA)
    until(lambda: "short_lived" in listed(emulator))
    device = alice(emulator)
    device.send("create_chat", assistant="short_lived")
    chat_id = device.receive("chat_created")["data"]["chatId"]
    device.ask("Which tea, while it lasts?")
    path.unlink()
    until(lambda: "short_lived" not in listed(emulator))

    def refused():
        device = alice(emulator)
        device.send("create_chat", assistant="short_lived")
        return device.receive_any()["type"] == "error"

    until(refused)
    late = alice(emulator)
    joined = late.join("alice", chat_id)
    assert [each["content"] for each in joined["messages"]] == ["Which tea, while it lasts?", "Green"]
    late.send("message", message="Another cup?")
    assert late.refusal() == "unknown_assistant"
    late.send("regenerate")
    assert late.refusal() == "unknown_assistant"
    assert asked(emulator, "POST", "/chats", {"assistant": "short_lived"})[0] == 422


def test_a_broken_file_is_named_and_the_others_answer(emulator, write):
    write("broken.py", "from handlers.chat.assistants import Assistant\nassistant = Assistant(temperature=5)\n")
    until(lambda: asked(emulator, "GET", "/health")[0] == 503)
    assert asked(emulator, "GET", "/health")[1] == {
        "status": "misconfigured",
        "assistants": ["handlers/assistants/broken.py"],
    }
    assert listed(emulator) == ["default"]
    until(lambda: any("assistant_broken" in line and "temperature is 5" in line for line in emulator.output))
    device = alice(emulator)
    device.create_chat()
    assert device.ask("Which tea, beside a broken file?")[-1]["data"]["content"] == "Green"
