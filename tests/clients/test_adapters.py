"""The adapters of the JavaScript client, for the AI SDK and for AG-UI, with a running emulator."""

import json

import pytest

from tests.support import adapters


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    adapters.need_packages()
    emulator = adapters.start(tmp_path_factory.mktemp("project"))
    yield emulator
    assert emulator.missing() == []
    emulator.stop()


def test_the_chats_of_the_ai_sdk_and_the_agents_of_ag_ui_talk_to_it(emulator):
    script = adapters.PACKAGE / "scripts" / "test.mjs"
    adapters.run(script, "--only", "emulator.adapters", emulator=emulator, user="alice")


def test_the_example_of_ag_ui_prints_the_messages(emulator, tmp_path):
    script = adapters.examples(tmp_path) / "ag-ui.mjs"
    printed = adapters.run(script, "/tool light {}", emulator=emulator, user="bob")
    messages = [json.loads(line) for line in printed.splitlines()]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]
    assert json.loads(messages[2]["content"]) == {"on": False}
