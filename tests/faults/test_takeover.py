"""Workers that die, freeze or never start, through real processes. All scenarios run at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.faults.users import APOLOGY, ENDLESS, ChatUser, check
from tests.support.devices import Emulator
from tests.support.process_tree import descendants, state
from tests.support.waiting import until

END = 900.0
"""Seconds after which a turn hangs. In the simulation each way to its end has its own time; here all scenarios run at
once, on whatever machine there is."""

LEASE_OVER = 15.5
"""Seconds after which the lease of a killed worker is over. Then its turn is taken over by whatever comes first."""

STEPS = {
    "as it begins": ("store", "kill", "GenerateFunction", "UpdateItem", "worker", {}),
    "when it has claimed": ("store", "kill", "GenerateFunction", "UpdateItem", "worker", {"after": True}),
    "at the first token": ("post", "kill", "assistant_message_token", {}),
    "in the middle": ("post", "kill", "assistant_message_token", {"nth": 3, "after": True}),
    "before the seal": ("store", "kill", "GenerateFunction", "TransactWriteItems", {}),
    "after the seal": ("store", "kill", "GenerateFunction", "TransactWriteItems", {"after": True}),
}
"""Where a worker is killed: SIGKILL, before or after a call of it has its effect."""

WHILE_IT_RUNS = ("at the first token", "in the middle")
"""These are about a reply that has frames to come. An endless one has, on any machine."""

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


def ends(user: ChatUser) -> dict[str, Any]:
    """Wait for the end of the only reply, and return its last frame."""
    complete = user.reply(END).completes[0]
    check(user)
    return complete


def ends_as_cancelled(user: ChatUser, *others: ChatUser) -> None:
    """Wait for the next attempt of an endless reply, and cancel it."""
    for device in (user, *others):
        device.wait("assistant_message_start", END, attempt=2)
    user.send("cancel")
    for device in (user, *others):
        complete = device.reply(END).completes[0]
        assert (complete["attempt"], complete["finishReason"]) == (2, "cancelled")


def wake_the_frozen(emulator: Emulator) -> bool:
    """Let the processes of the emulator that stand still go on. Return whether there were any."""
    frozen = [pid for pid in descendants(emulator.process.pid) if state(pid) == "T"]
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    return bool(frozen)


def killed(step: str) -> Scenario:
    def work(emulator: Emulator) -> None:
        user = ChatUser(emulator)
        kill(user, step)
        if step in WHILE_IT_RUNS:
            user.say(ENDLESS)
            ends_as_cancelled(user)
            check(user)
        else:
            user.say("/long 400")
            ends(user)
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
    user.say(ENDLESS)
    ends_as_cancelled(user)
    check(user)


@scenario("every attempt dies and nobody pings")
def every_attempt(emulator: Emulator) -> None:
    user = ChatUser(emulator, pinging=False)
    kill(user, "when it has claimed", times=3)
    user.say("/long 400")
    complete = ends(user)
    assert (complete["content"], complete["finishReason"]) == (APOLOGY, "error")
    assert user.ask("And now?").completes[0]["finishReason"] == "stop"


@scenario("a handler that fails every time")
def poison(emulator: Emulator) -> None:
    user = ChatUser(emulator, pinging=False)
    user.fault("store", "500", user.chat_id, "GenerateFunction", "Query", times=None)
    user.say("/long 400")
    assert ends(user)["content"] == APOLOGY


@scenario("an invocation that is lost")
def lost(emulator: Emulator) -> None:
    user = ChatUser(emulator)
    user.fault("invoke", "lose")
    user.say("/long 400")
    assert ends(user)["attempt"] == 1


@scenario("a zombie that wakes after the takeover")
def zombie(emulator: Emulator) -> None:
    user = ChatUser(emulator)
    user.fault("post", "freeze", user.connection_id, "assistant_message_token", nth=4, seconds=END)
    user.say(ENDLESS)
    ends_as_cancelled(user)
    reading = user.reply()
    until(lambda: wake_the_frozen(emulator))
    time.sleep(5)
    check(user)
    assert reading.text == reading.completes[0]["content"]
    assert user.ask("And now?").completes[0]["finishReason"] == "stop"


@scenario("a message while the worker is dead")
def message(emulator: Emulator) -> None:
    user = ChatUser(emulator, pinging=False)
    kill(user, "in the middle")
    user.say(ENDLESS)
    time.sleep(LEASE_OVER)
    user.send("message", message="Hello?", clientMessageId="second")
    assert user.wait("error", clientMessageId="second")["data"]["code"] == "busy"
    ends_as_cancelled(user)
    user.ask("Hello?", clientMessageId="second")
    check(user, 2)


@scenario("a device that joins while the worker is dead")
def join(emulator: Emulator) -> None:
    user = ChatUser(emulator, pinging=False)
    kill(user, "in the middle")
    user.say(ENDLESS)
    time.sleep(LEASE_OVER)
    other = ChatUser(emulator, user.user_id, user.chat_id, pinging=False)
    ends_as_cancelled(user, other)
    check(user)


@scenario("a cancellation while the worker is dead")
def cancelled(emulator: Emulator) -> None:
    user = ChatUser(emulator, pinging=False)
    kill(user, "in the middle")
    user.say(ENDLESS)
    time.sleep(LEASE_OVER)
    user.send("cancel")
    assert user.reply(END).completes[0]["finishReason"] == "cancelled"
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
    outcomes[name].result(2 * END)
