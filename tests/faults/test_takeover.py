"""Workers that die, freeze or never start, through real processes. All scenarios run at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.faults.users import APOLOGY, ENDLESS, ChatUser, check
from tests.support.devices import Emulator

PINGED, SILENT, EVERY_ATTEMPT = 21, 75, 200
"""Seconds within which a reply must end: with a client that pings, with a silent one, if every attempt dies."""

SLOWNESS = 10

TEN_SECONDS = "/long 2000"
"""A message whose reply takes ten seconds.

A test that sleeps until the lease is over may wake late. Half a second later Lambda's retry begins the next attempt,
and its reply must still run when the test goes on.
"""

STEPS = {
    "as it begins": ("store", "kill", "GenerateFunction", "UpdateItem", "worker", {}),
    "when it has claimed": ("store", "kill", "GenerateFunction", "UpdateItem", "worker", {"after": True}),
    "at the first token": ("post", "kill", "assistant_message_token", {}),
    "in the middle": ("post", "kill", "assistant_message_token", {"nth": 3, "after": True}),
    "before the seal": ("store", "kill", "GenerateFunction", "TransactWriteItems", {}),
    "after the seal": ("store", "kill", "GenerateFunction", "TransactWriteItems", {"after": True}),
}
"""Where a worker is killed: SIGKILL, before or after a call of it has its effect."""

Scenario = Callable[[Emulator], None]
SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str) -> Callable[[Scenario], Scenario]:
    def register(work: Scenario) -> Scenario:
        SCENARIOS[name] = work
        return work

    return register


def kill(user: ChatUser, step: str, **more: object) -> None:
    """Kill a worker of this person's chat. Posts know no chat but its connection."""
    point, do, *match, options = STEPS[step]
    user.fault(point, do, user.connection_id if point == "post" else user.chat_id, *match, **options, **more)


def ends_within(user: ChatUser, seconds: float, started: float) -> None:
    user.reply(seconds + SLOWNESS)
    # The figures themselves hold in the simulation; here a small machine runs all scenarios at once.
    assert time.monotonic() - started <= seconds + SLOWNESS
    check(user)


def killed(step: str) -> Scenario:
    def work(emulator: Emulator) -> None:
        user = ChatUser(emulator)
        kill(user, step)
        started = time.monotonic()
        user.say("/long 400")
        ends_within(user, PINGED, started)
        reading = user.reply()
        assert reading.text == reading.completes[0]["content"]
        assert reading.completes[0]["attempt"] == (2 if step not in ("as it begins", "after the seal") else 1)
        assert user.ask("And now?").completes[0]["finishReason"] == "stop"

    return work


for step in STEPS:
    SCENARIOS[f"a worker killed {step}"] = killed(step)


@scenario("a worker killed while its client is silent")
def silent(emulator: Emulator) -> None:
    user = ChatUser(emulator, pinging=False)
    kill(user, "in the middle")
    started = time.monotonic()
    user.say("/long 400")
    ends_within(user, SILENT, started)
    assert user.reply().completes[0]["attempt"] == 2


@scenario("every attempt dies and nobody pings")
def every_attempt(emulator: Emulator) -> None:
    user = ChatUser(emulator, pinging=False)
    kill(user, "when it has claimed", times=3)
    started = time.monotonic()
    user.say("/long 400")
    ends_within(user, EVERY_ATTEMPT, started)
    complete = user.reply().completes[0]
    assert (complete["content"], complete["finishReason"]) == (APOLOGY, "error")
    assert user.ask("And now?").completes[0]["finishReason"] == "stop"


@scenario("a handler that fails every time")
def poison(emulator: Emulator) -> None:
    user = ChatUser(emulator, pinging=False)
    user.fault("store", "500", user.chat_id, "GenerateFunction", "Query", times=None)
    user.say("/long 400")
    user.reply(EVERY_ATTEMPT)
    check(user)
    assert user.reply().completes[0]["content"] == APOLOGY


@scenario("an invocation that is lost")
def lost(emulator: Emulator) -> None:
    user = ChatUser(emulator)
    user.fault("invoke", "lose")
    started = time.monotonic()
    user.say("/long 400")
    ends_within(user, PINGED, started)
    assert user.reply().completes[0]["attempt"] == 1


@scenario("a zombie that wakes after the takeover")
def zombie(emulator: Emulator) -> None:
    user = ChatUser(emulator)
    user.fault("post", "freeze", user.connection_id, "assistant_message_token", nth=4, seconds=24)
    user.say("/long 400")
    reading = user.reply(40)
    assert reading.completes[0]["attempt"] == 2
    time.sleep(12)
    check(user)
    assert reading.text == reading.completes[0]["content"]
    assert user.ask("And now?").completes[0]["finishReason"] == "stop"


@scenario("a message while the worker is dead")
def message(emulator: Emulator) -> None:
    user = ChatUser(emulator, pinging=False)
    kill(user, "in the middle")
    user.say(TEN_SECONDS)
    time.sleep(15.5)
    user.send("message", message="Hello?", clientMessageId="second")
    assert user.wait("error", clientMessageId="second")["data"]["code"] == "busy"
    assert user.reply(40).completes[0]["attempt"] == 2
    user.ask("Hello?", clientMessageId="second")
    check(user, 2)


@scenario("a device that joins while the worker is dead")
def join(emulator: Emulator) -> None:
    user = ChatUser(emulator, pinging=False)
    kill(user, "in the middle")
    user.say(TEN_SECONDS)
    time.sleep(15.5)
    other = ChatUser(emulator, user.user_id, user.chat_id, pinging=False)
    for device in (user, other):
        assert device.reply(40).completes[0]["attempt"] == 2
    check(user)


@scenario("a cancellation while the worker is dead")
def cancelled(emulator: Emulator) -> None:
    user = ChatUser(emulator, pinging=False)
    kill(user, "in the middle")
    user.say(ENDLESS)
    time.sleep(15.5)
    user.send("cancel")
    assert user.reply(20).completes[0]["finishReason"] == "cancelled"
    check(user)


@scenario("a reply that was stored, and whose device comes back")
def unannounced(emulator: Emulator) -> None:
    user = ChatUser(emulator, pinging=False)
    kill(user, "after the seal")
    acknowledged = user.say("/long 40")
    user.wait("assistant_message_token")
    time.sleep(1)
    reading = next(iter(user.readings.values()))
    message_id = next(iter(user.readings))
    joined = user.join(reading.resume(message_id))
    assert [each["messageId"] for each in joined["messages"]] == [acknowledged["messageId"], message_id]
    assert user.reply().text == user.stored()[1]["content"]


@pytest.fixture(scope="module")
def outcomes(emulator: Emulator) -> dict[str, Future[None]]:
    pool = ThreadPoolExecutor(len(SCENARIOS))
    return {name: pool.submit(work, emulator) for name, work in SCENARIOS.items()}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_turn_comes_to_its_one_end(outcomes, name):
    outcomes[name].result(EVERY_ATTEMPT + 20)
