"""The own agents of the documentation, in a running deployment with the built-in model."""

import json
import shutil

import pytest

from tests.support import own_project
from tests.support.devices import ROOT, Device, Emulator

EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    template = own_project.copy(folder)
    for example in EXAMPLES.glob("*.py"):
        shutil.copy(example, folder / "handlers" / "assistants")
    emulator = Emulator(PARLEY_TEMPLATE=template, PARLEY_IAM="enforce", CHAT_LANGUAGE="en")
    yield emulator
    assert emulator.missing() == []
    emulator.stop()


def asked(emulator, assistant, question):
    """The text and the parts that a device gets of a reply, and its end."""
    device = Device(emulator.websocket_url)
    device.join("alice")
    device.create_chat(assistant=assistant)
    frames = device.ask(question)
    parts = {}
    for frame in frames:
        if frame["type"] == "assistant_message_part":
            parts[frame["data"]["index"]] = frame["data"]["part"]
    text = "".join(frame["data"]["token"] for frame in frames if frame["type"] == "assistant_message_token")
    return text, list(parts.values()), frames[-1]["data"]


def test_a_plain_generator_streams_its_text_and_its_sources(emulator):
    text, parts, end = asked(emulator, "librarian", "sea island")
    assert text == end["content"] == "I have found 2 of 3 books.\n- Treasure Island\n- The Sea-Wolf\n"
    assert [(part["kind"], part["title"]) for part in parts] == [
        ("source", "Treasure Island"),
        ("source", "The Sea-Wolf"),
    ]
    assert (end["finishReason"], "usage" in end) == ("stop", False)


def test_a_framework_streams_the_models_text_and_its_own_calls(emulator):
    pytest.importorskip("pydantic_ai", reason="the group `agents` is not installed")
    text, [call], end = asked(emulator, "researcher", '/tool population {"city": "Oslo"}')
    assert (call["name"], json.loads(call["arguments"])) == ("population", {"city": "Oslo"})
    assert (call["state"], call["result"]) == ("done", "717710")
    assert "717710" in text
    assert (text, end["finishReason"]) == (end["content"], "stop")
    assert end["usage"]["promptTokens"] > 0
