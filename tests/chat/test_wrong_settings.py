"""A deployment with a wrong setting says so: the user soon, and the operator by name."""

import json
import time
import urllib.error
import urllib.request

import pytest

from tests.support.devices import Device, Emulator

SOON = 20.0
"""Seconds."""


def health(emulator):
    try:
        with urllib.request.urlopen(f"{emulator.url}/health", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"HISTORY_CHARS": "0", "TURN_PRICES": "free"}, ["HISTORY_CHARS", "TURN_PRICES"]),
        ({"OPENAI_BASE_URL": "api.openai.com"}, ["OPENAI_BASE_URL"]),
        ({"OPENAI_API_KEY": "ssm:/no/such/key", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, []),
        ({"OPENAI_API_KEY": "ключ", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, []),
    ],
    ids=["numbers", "url", "key that does not exist", "key that no header can hold"],
)
def test_the_user_hears_the_apology_and_the_health_check_names_the_variables(variables, named):
    emulator = Emulator(CHAT_LANGUAGE="en", **variables)
    try:
        alice = Device(emulator.websocket_url)
        alice.join("alice")
        alice.create_chat()
        asked = time.monotonic()
        end = alice.ask("Hello?")[-1]["data"]
        assert time.monotonic() - asked < SOON
        assert (end["finishReason"], "Sorry" in end["content"]) == ("error", True)
        assert health(emulator) == (
            (503, {"status": "misconfigured", "settings": named}) if named else (200, {"status": "ok"})
        )
    finally:
        emulator.stop()
