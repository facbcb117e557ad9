"""Critical path of a message: how many calls of services wait for each other until the model is asked.

Counted, not timed. In the simulated world each call takes one tick, and code takes none. In the emulator a fault plan
delays each call by the same time, which is much more than anything else takes.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from handlers.chat.records import Chat, FinishReason, Message, Role
from tests.faults.simulation.chat import CHAT, USER
from tests.faults.simulation.counted import CountedDeployment
from tests.faults.simulation.world import BEGINNING
from tests.support.critical_path import Call, longest_chain, path
from tests.support.devices import Device, Emulator

DEFAULT_LIMITS = {"MESSAGES_PER_MINUTE": "20", "CONCURRENT_REPLIES": "3"}

EXPECTED = [
    "connections.get",
    "chats.get | messages.sent_as | users.quota_usage",
    "turns.accept",
    "Invoke | post user_message",
    "messages.newest_first | turns.claim",
]


def message(**data: str) -> dict[str, Any]:
    return {"type": "message", "data": {"message": "Hi", **data}}


class TestInTicks:
    def test_a_message_with_an_id_of_the_client_waits_for_five_calls(self):
        assert CountedDeployment(**DEFAULT_LIMITS).steps(message(clientMessageId="mine"), "a=") == EXPECTED

    def test_without_an_id_it_waits_for_no_fewer(self):
        expected = [EXPECTED[0], "chats.get | users.quota_usage", *EXPECTED[2:]]
        assert CountedDeployment(**DEFAULT_LIMITS).steps(message(), "a=") == expected

    def test_without_limits_it_waits_for_no_fewer(self):
        expected = [EXPECTED[0], "chats.get", *EXPECTED[2:]]
        assert CountedDeployment().steps(message(clientMessageId="mine"), "a=") == expected

    def test_a_regenerated_reply_waits_for_seven(self):
        deployment = CountedDeployment(**DEFAULT_LIMITS)
        stored = [
            Message(CHAT, "0001", Role.USER, "Hi", BEGINNING),
            Message(CHAT, "0002", Role.ASSISTANT, "Ho", BEGINNING, finish_reason=FinishReason.STOP),
        ]
        deployment.store.tables.chats[USER, CHAT] = Chat(USER, CHAT, last_message_id="0002", message_count=2)
        deployment.store.tables.messages[CHAT] = {each.message_id: each for each in stored}
        assert deployment.steps({"type": "regenerate", "data": {}}, "a=") == [
            "connections.get",
            "chats.get | users.quota_usage",
            "users.replace_quota_usage",
            "messages.with_previous",
            "turns.begin",
            "Invoke",
            "messages.newest_first | turns.claim",
        ]
        assert deployment.model.prompts == [[("user", "Hi")]]


class TestTheChain:
    def test_calls_at_the_same_time_count_once(self):
        calls = [Call("a", 0, 2), Call("b", 1, 3), Call("c", 2, 4), Call("d", 4, 5)]
        assert [each.name for each in longest_chain(calls)] == ["a", "c", "d"]
        assert path([Call("a", 0, 1), Call("b", 0, 1), Call("c", 1, 2)]) == ["a | b", "c"]

    def test_one_call_inside_another_is_no_step(self):
        assert len(longest_chain([Call("long", 0, 10), Call("short", 4, 5)])) == 1

    def test_nothing_is_no_chain(self):
        assert longest_chain([]) == []


DELAY = 1.0
"""Seconds. Calls at the same time must begin before one of them ends, on a busy machine too."""

DELIVERY_DELAY = 2 * DELAY
"""Seconds until the worker gets its event. The post beside the invocation must have ended by then."""


@pytest.fixture(scope="module")
def slow_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator with the limits of the template, in which each call takes `DELAY` more, from the first message on."""
    plan = tmp_path_factory.mktemp("slow") / "plan.json"
    plan.write_text("{}")
    emulator = Emulator(PARLEY_FAULTS=str(plan), PARLEY_USERS="alice")
    yield emulator
    emulator.stop()


def get(emulator: Emulator, path: str) -> Any:
    with urllib.request.urlopen(f"{emulator.url}{path}") as answer:
        return json.load(answer)


def slow_down(emulator: Emulator) -> None:
    delays = {"store": DELAY, "post": DELAY, "invoke": DELIVERY_DELAY}
    faults = [{"point": point, "do": "delay", "seconds": seconds, "times": None} for point, seconds in delays.items()]
    body = json.dumps({"faults": faults}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{emulator.url}/_parley/faults", body, method="PUT"))


def calls_of_a_turn(events: list[dict[str, Any]]) -> list[Call]:
    """Return the calls of `default`, and those of the worker before it can ask the model.

    The one UpdateItem of `default` is the note that the message is acknowledged. Nobody waits for it with the model's
    request. Lambda answers an asynchronous invocation at once, and the plan delays its delivery: the worker waits for
    that, so it counts as a part of the call.
    """
    calls, of_worker = [], {"UpdateItem": 1, "Query": 1}
    for event in events:
        if event["kind"] != "call" or event["operation"] == "":
            continue
        if event["caller"] == "GenerateFunction":
            if not of_worker.get(event["operation"]):
                continue
            of_worker[event["operation"]] -= 1
        elif event["caller"] != "DefaultFunction" or event["operation"] == "UpdateItem":
            continue
        name = f"{event['caller']} {event['operation']}"
        ended = event["at"] + (DELIVERY_DELAY if event["operation"] == "Invoke" else 0)
        calls.append(Call(name, event["at"] - event["milliseconds"] / 1000, ended))
    return calls


def test_the_trace_of_the_emulator_has_the_same_steps(slow_emulator):
    emulator = slow_emulator
    device = Device(emulator.websocket_url)
    device.join("alice")
    device.create_chat()
    device.send("message", message="warm up", clientMessageId="one")
    device.receive("user_message")
    device.reply()
    time.sleep(0.5)
    slow_down(emulator)
    last = get(emulator, "/_parley/trace")[-1]["number"]
    device.send("message", message="counted", clientMessageId="two")
    device.receive("user_message")
    device.reply()
    steps = path(calls_of_a_turn(get(emulator, f"/_parley/trace?after={last}")))
    print(*steps, sep="\n")
    get_item = "DefaultFunction GetItem"
    assert steps == [
        get_item,
        f"{get_item} | {get_item} | {get_item}",
        "DefaultFunction TransactWriteItems",
        "DefaultFunction Invoke | DefaultFunction PostToConnection",
        "GenerateFunction Query | GenerateFunction UpdateItem",
    ]
