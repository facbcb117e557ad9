"""Random users in a simulated world, and the checks of its end."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from handlers.chat.records import Role
from handlers.chat.turns.actions import FAN_OUT_SECONDS
from tests.faults.simulation.chat import CHAT, SimulatedDeployment, SimulatedDevice, acknowledged, running
from tests.faults.simulation.services import SimulatedFaults

APOLOGY = "Извините, произошла ошибка при обработке вашего сообщения."
QUIET_AFTER = 1_500.0
"""Seconds after the last fault in which everything must have come to an end: leases, retries, give-up."""


@dataclass
class SimulationRun:
    """A simulated world after its end."""

    deployment: SimulatedDeployment
    devices: list[SimulatedDevice]
    cancelled: list[tuple[float, str]] = field(default_factory=list)
    regenerated: bool = False

    @property
    def turns(self) -> int:
        return sum(message.role is Role.USER for message in self.deployment.messages)


def simulate(seed: object, faults: SimulatedFaults | None = None, questions: int = 8) -> SimulationRun:
    """Let some devices talk for a while, then wait until everything is over."""
    deployment = SimulatedDeployment(seed, faults)
    world, random = deployment.world, deployment.world.random
    devices = [SimulatedDevice(deployment, name) for name in "abc"[: random.randint(1, 3)]]
    run = SimulationRun(deployment, devices)
    for device in devices:
        world.later(random.uniform(0, 20) if device is not devices[0] else 0.0, device.connect)
    at = 0.5
    for number in range(questions):
        speaker = random.choice(devices)
        world.later(at, lambda speaker=speaker, number=number: speaker.say(f"q{number}"))
        _meanwhile(run, at)
        at += random.choice([0.001, random.uniform(0, 5), random.uniform(0, 40)])
    for device in devices:
        world.later(at + 30, device.connect)
    world.run(max(at, SimulatedFaults.NONE_AFTER) + QUIET_AFTER)
    return run


def _meanwhile(run: SimulationRun, at: float) -> None:
    """Choose something that may happen around a question."""
    world, random = run.deployment.world, run.deployment.world.random
    device = random.choice(run.devices)
    when = at + random.uniform(0, 3)
    match random.randint(0, 9):
        case 0 | 1:
            world.later(when, device.disconnect)
            world.later(when + random.choice([0.01, random.uniform(0, 5), 30]), device.connect)
        case 2 | 3:

            def cancel() -> None:
                if device.joined and device.running:
                    run.cancelled.append((world.time, device.running))
                device.cancel()

            world.later(when, cancel)
        case 4:
            world.later(when, device.regenerate)
            run.regenerated = True
        case 5:
            slowness = random.uniform(0.05, 1)
            world.later(when, lambda: run.deployment.gateway.slowness.update({device.connection_id or "": slowness}))


def check(run: SimulationRun) -> None:
    """Check the promises of the protocol that hold under every fault."""
    deployment, chat = run.deployment, run.deployment.chat
    assert deployment.world.failures == [], "an unexpected exception"
    assert chat is not None
    assert not running(deployment), "a turn never came to its end"
    check_what_is_stored(run)
    check_order(run)
    for device in run.devices:
        check_what_was_read(run, device)


def check_what_is_stored(run: SimulationRun) -> None:
    messages, chat = run.deployment.messages, run.deployment.chat
    stored = {message.message_id for message in messages}
    for data in acknowledged(run.devices):
        assert data["messageId"] in stored, "an acknowledged message is lost"
    tags = [message.client_message_id for message in messages if message.role is Role.USER]
    assert len(tags) == len(set(tags)), "a message is stored twice"
    roles = [message.role for message in run.deployment.path]
    assert roles == [Role.USER, Role.ASSISTANT] * (len(roles) // 2), "not one reply to one message"
    assert chat is not None
    assert chat.message_count == len(messages), "a message is not counted"
    for message in messages:
        if message.role is Role.ASSISTANT:
            answers = set(re.findall(r"a(\d+)w", message.content))
            assert len(answers) <= 1, "the words of two attempts are mixed"
            words = [int(word) for word in re.findall(r"a\d+w(\d+)", message.content)]
            assert words == list(range(len(words))), "a word is lost, doubled or out of order"


def check_order(run: SimulationRun) -> None:
    """Check that no reply begins before its message on a connection that gets both.

    Another device than the one that sent the message may take longer than the reply waits for it.
    """
    for arrivals in run.deployment.gateway.arrivals.values():
        begun = ""
        for each in arrivals:
            data = each.frame["data"]
            if each.frame["type"] == "assistant_message_start":
                begun = max(begun, data["messageId"])  # ids sort: a reply's is above its message's
                continue
            may_be_late = "requestId" not in each.frame and each.seconds > FAN_OUT_SECONDS
            assert "duplicate" in data or may_be_late or data["messageId"] > begun, "a reply before its message"


def check_what_was_read(run: SimulationRun, device: SimulatedDevice) -> None:
    stored = {message.message_id: message.content for message in run.deployment.messages}
    assert device.outbox == [], "a message was never acknowledged"
    assert device.running is None, "a device waits for a reply that is over"
    for message_id, reading in device.readings.items():
        for complete in reading.completes:
            assert complete["content"] == reading.completes[0]["content"], "one reply ends twice, and differently"
            if complete["content"] is None:
                continue  # too long for a frame: the pieces are all that there is
            if message_id in stored:
                assert complete["content"] == stored[message_id], "a device saw another reply than is stored"
            if complete["attempt"] == reading.attempt:
                assert complete["content"].startswith(reading.text), "a device read what the reply does not say"


def check_without_faults(run: SimulationRun) -> None:
    """Check the promises that hold only without faults, and all others."""
    check(run)
    assert not any(answer.open for answer in run.deployment.model.answers), "a model's stream stays open"
    contents = [message.content for message in run.deployment.messages]
    assert not any(APOLOGY in content for content in contents), "an apology without a fault"
    assert run.deployment.chat is not None
    assert not run.deployment.chat.announcements, "an announcement is not removed"
    for device in run.devices:
        for message_id, reading in device.readings.items():
            # Attempt 0: it ended while the device joined, and was shown by `chat_joined`.
            if device.connections == 1 and reading.attempt > 0:
                assert reading.late == [], "something after the end"
                assert len(reading.completes) == 1, "not exactly one end"
                assert reading.completes[0]["content"] == reading.text, "the tokens are not the text"
            assert message_id.count("-") == 4
    for moment, message_id in run.cancelled:
        check_cancelled_in_time(run, moment, message_id)


def check_cancelled_in_time(run: SimulationRun, moment: float, message_id: str) -> None:
    for message in run.deployment.store.tables.messages[CHAT].values():
        if message.message_id == message_id and message.finish_reason == "cancelled":
            sealed = (message.timestamp - run.deployment.world.process("x").now()).total_seconds()
            assert sealed + run.deployment.world.time - moment <= 1.2, "cancelled too late"
