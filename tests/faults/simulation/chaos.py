"""Chaos around two devices in one chat: SIGKILL, drops, resumes, a deletion, a store and a model that stand still."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.faults.simulation.chat import CHAT, USER, SimulatedDeployment, SimulatedDevice
from tests.faults.simulation.scenario import QUIET_AFTER, SimulationRun, check, check_order, check_what_was_read
from tests.faults.simulation.services import SimulatedFaults

CHAOS = SimulatedFaults(kill=0.003)
QUESTIONS = 5


@dataclass
class ChaosRun(SimulationRun):
    """A world after its chaos. `survivors` are the connections that stayed open through at least one reply."""

    deleted: bool = False
    survivors: set[str] = field(default_factory=set)


def simulate_chaos(seed: object, faults: SimulatedFaults = CHAOS) -> ChaosRun:
    """Let two devices talk while everything goes wrong around them, then wait until everything is over."""
    deployment = SimulatedDeployment(seed, faults)
    world, random = deployment.world, deployment.world.random
    devices = [SimulatedDevice(deployment, name) for name in "ab"]
    run = ChaosRun(deployment, devices)
    for device in devices:
        device.connect()
    deployment.services.before_last_word = lambda: _strike_at_the_end(run)
    at = 2.0
    for number in range(QUESTIONS):
        speaker = random.choice(devices)
        world.later(at, lambda speaker=speaker, number=number: speaker.say(f"q{number}"))
        for _ in range(random.randint(0, 3)):
            _strike(run, at + random.uniform(0, 4))
        at += random.choice([random.uniform(0, 5), random.uniform(0, 40)])
    if random.random() < 0.1:
        world.later(random.uniform(2, at), lambda: _delete(run))
    for device in devices:
        world.later(at + 60, device.connect)
    world.run(max(at + 60, SimulatedFaults.NONE_AFTER) + QUIET_AFTER)
    return run


def _strike(run: ChaosRun, when: float) -> None:
    """Choose something that happens at a moment."""
    world, random, services = run.deployment.world, run.deployment.world.random, run.deployment.services
    device = random.choice(run.devices)
    match random.randint(0, 6):
        case 0:
            world.later(when, lambda: [worker.kill() for worker in run.deployment.workers[-1:]])
        case 1:
            world.later(when, device.disconnect)
            world.later(when + random.choice([0.01, random.uniform(0, 5), 30]), device.connect)
        case 2 | 3:
            world.later(when, device.resume)
        case 4:
            world.later(when, lambda: services.freeze_store(random.uniform(0, 30)))
        case 5:
            world.later(when, lambda: services.freeze_model(random.uniform(0, 30)))
        case 6:
            slowness = random.uniform(0.05, 1)
            world.later(when, lambda: run.deployment.gateway.slowness.update({device.connection_id or "": slowness}))


def _strike_at_the_end(run: ChaosRun) -> None:
    """Choose something that happens around the seal: a device comes back or resumes, or the worker is killed."""
    world, random = run.deployment.world, run.deployment.world.random
    device = random.choice(run.devices)
    if not world.time < SimulatedFaults.NONE_AFTER:
        return
    match random.randint(0, 7):
        case 0 | 1:
            device.disconnect()
            world.later(random.uniform(0, 0.2), device.connect)
        case 2:
            device.resume()
        case 3:
            world.later(random.uniform(0, 0.4), lambda: [worker.kill() for worker in run.deployment.workers[-1:]])


def _delete(run: ChaosRun) -> None:
    """Delete the chat, and tell its devices."""
    run.deleted = True
    run.deployment.store.chats.delete(USER, CHAT)
    for device in run.devices:
        device.forget_chat()


def check_chaos(run: ChaosRun) -> None:
    """Check the promises: the text on each device, and the number of ends on each connection that stayed."""
    if run.deleted:
        _check_deleted(run)
        return
    check(run)
    assert run.deployment.chat is not None
    assert not run.deployment.chat.announcements, "a reply was never announced"
    stored = {message.message_id: message.content for message in run.deployment.messages}
    for device in run.devices:
        for message_id, reading in device.readings.items():
            assert reading.text == stored[message_id], "a device has another text than is stored"
            if device.present[message_id] == device.connections:
                run.survivors.add(f"{device.name}{device.connections}=")
                assert reading.completes or message_id in device.shown, "an end is missing"
        for (connection, message_id), ends in device.ends.items():
            # One for each time that the connection asked for the reply. More only if the turn was taken over after its
            # seal: its worker died, or was held up for longer than its lease, before it noted that all had the end.
            taken_over = run.deployment.store.tables.taken_over_announcements[message_id]
            assert ends <= device.subscriptions[connection, message_id] + taken_over, "an end too many"


def _check_deleted(run: ChaosRun) -> None:
    tables = run.deployment.store.tables
    assert run.deployment.world.failures == [], "an unexpected exception"
    assert (tables.chats, tables.messages.get(CHAT, {})) == ({}, {}), "a deleted chat came back"
    check_order(run)
    for device in run.devices:
        check_what_was_read(run, device)
