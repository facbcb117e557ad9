"""`parley smoke`: the conversation with a deployment, as an operator has it."""

from __future__ import annotations

import os
import subprocess

import pytest
from parley.dev_tokens import token

from tests.support.devices import PARLEY, ROOT, SECRET, Emulator, free_port
from tests.support.waiting import HANGS

ALICE = token("alice", SECRET)


def smoke(*arguments, held=ALICE):
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PARLEY_TOKEN": held}
    command = [PARLEY, "smoke", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=HANGS, check=False
    )


def test_each_step_is_reported_and_the_chat_is_deleted(emulator):
    done = smoke("--url", emulator.websocket_url, "--http-url", emulator.url)
    assert (done.returncode, done.stderr) == (0, "")
    *steps, end = done.stdout.splitlines()
    assert [line[:30].split("  ")[1].strip() for line in steps] == [
        "connect",
        "greeting",
        "ping",
        "a made-up token is refused",
        "join",
        "create a chat",
        "message",
        "first token",
        "reply",
        "title",
        "history on a second device",
        "the chat is deleted",
    ]
    assert end == f"{emulator.websocket_url} works."
    assert ALICE not in done.stdout


def test_a_wrong_token_is_named_with_its_step(emulator):
    refused = smoke("--url", emulator.websocket_url, held="nonsense")
    assert refused.returncode == 1
    assert "join: error invalid_token (Invalid authentication token) instead of authenticated." in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_wrong_url_is_named_with_the_next_step(emulator):
    refused = smoke("--url", f"ws://127.0.0.1:{emulator.port}/none")
    assert refused.returncode == 1
    assert "connect: refused with HTTP" in refused.stderr
    nobody = smoke("--url", f"ws://127.0.0.1:{free_port()}/live")
    assert nobody.returncode == 1
    assert "Check the URL and the network." in nobody.stderr


def test_it_says_what_it_needs():
    refused = smoke()
    assert refused.stderr == "parley: Name what to test: --url wss://…, or --stack NAME, or --stage STAGE.\n"


@pytest.fixture(scope="module")
def broken_model():
    emulator = Emulator(OPENAI_BASE_URL=f"http://127.0.0.1:{free_port()}/v1", OPENAI_API_KEY="none")
    yield emulator
    emulator.stop()


def test_a_model_that_fails_is_named_with_what_to_check(broken_model):
    refused = smoke("--url", broken_model.websocket_url)
    assert refused.returncode == 1
    assert "reply: finishReason error" in refused.stderr
    assert "check OpenAiApiKey, OpenAiBaseUrl and OpenAiModel" in refused.stderr
