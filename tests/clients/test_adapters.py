"""The adapters of the JavaScript client, for the AI SDK and for AG-UI, with a running emulator."""

import json

import pytest
from parley.dev_tokens import token

from tests.support import adapters, npm
from tests.support.devices import SECRET


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    npm.install(adapters.CLIENTS)
    emulator = adapters.start(tmp_path_factory.mktemp("project"))
    yield emulator
    assert emulator.missing() == []
    emulator.stop()


def test_the_chats_of_the_ai_sdk_and_the_agents_of_ag_ui_talk_to_it(emulator):
    server = {"webSocketUrl": emulator.websocket_url, "httpUrl": emulator.url, "token": token("alice", SECRET)}
    command = ("scripts/test.mjs", "adapters.emulator", "--test-reporter=tap")
    printed = adapters.run(*command, PARLEY_TEST_SERVER=json.dumps(server))
    assert "# fail 0" in printed
    assert "# skipped 0" in printed


def test_the_example_of_ag_ui_prints_the_messages(emulator, tmp_path):
    script = adapters.examples(tmp_path) / "ag-ui.mjs"
    server = {"PARLEY_URL": emulator.websocket_url, "PARLEY_TOKEN": token("bob", SECRET)}
    printed = adapters.run(str(script), "/tool light {}", **server)
    messages = [json.loads(line) for line in printed.splitlines()]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]
    assert json.loads(messages[2]["content"]) == {"on": False}
