"""A deployment with a wrong setting says so: the user soon, and the operator by name."""

import json
import urllib.error
import urllib.request

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.devices import Device, Emulator
from tests.support.waiting import HANGS


def health(emulator):
    try:
        with urllib.request.urlopen(f"{emulator.url}/health", timeout=HANGS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture
def started():
    emulators = []

    def start(**variables):
        emulators.append(Emulator(CHAT_LANGUAGE="en", **variables))
        return emulators[0]

    yield start
    for emulator in emulators:
        emulator.stop()


def in_a_chat(emulator):
    alice = Device(emulator.websocket_url)
    alice.join("alice")
    alice.create_chat()
    return alice


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"HISTORY_CHARS": "0", "TURN_PRICES": "free"}, ["HISTORY_CHARS", "TURN_PRICES"]),
        ({"OPENAI_BASE_URL": "api.openai.com"}, ["OPENAI_BASE_URL"]),
    ],
    ids=["numbers", "url"],
)
def test_a_message_is_refused_and_the_health_check_names_the_variables(started, variables, named):
    emulator = started(**variables)
    alice = in_a_chat(emulator)
    alice.send("message", message="Hello?")
    assert alice.refusal() == "unavailable"
    assert health(emulator) == (503, {"status": "misconfigured", "settings": named})
    refused = [line for line in emulator.output if "refused_by_settings" in line]
    assert all(any(name in line for line in refused) for name in named)


@pytest.mark.parametrize("key", ["ssm:/no/such/key", "ssm:no-path", "ключ"])
def test_the_user_hears_the_apology_soon_if_the_key_cannot_be_used(started, key):
    emulator = started(OPENAI_API_KEY=key, OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    alice = in_a_chat(emulator)
    end = alice.ask("Hello?")[-1]["data"]
    # By the first attempt: Lambda would begin the next one a minute later.
    assert (end["finishReason"], end["attempt"], "Sorry" in end["content"]) == ("error", 1, True)
    assert health(emulator) == (200, {"status": "ok"}), "a secret is known only where it is used"


def test_nobody_is_let_in_if_no_token_can_be_verified(started):
    emulator = started(JWT_SECRET="short")
    for token in ({}, {"additional_headers": {"Authorization": "Bearer x.y.z"}}):
        with pytest.raises(InvalidStatus) as refused:
            connect(emulator.websocket_url, **token)
        assert refused.value.response.status_code == 503
    assert health(emulator) == (503, {"status": "misconfigured", "settings": ["JWT_SECRET"]})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{emulator.url}/me", timeout=HANGS)
    assert (refused.value.code, json.load(refused.value)["code"]) == (503, "unavailable")
