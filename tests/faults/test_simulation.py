"""10,000 turns in a simulated world: our own code with faults in everything around it."""

from __future__ import annotations

import zlib

import pytest

from tests.faults.seeds import SEED
from tests.faults.simulation.chat import SimulatedDeployment, SimulatedDevice
from tests.faults.simulation.scenario import APOLOGY, check, check_without_faults, simulate
from tests.faults.simulation.services import SimulatedFaults

QUESTIONS = 8

MIXES = {
    "crashes": SimulatedFaults(kill=0.004),
    "zombies": SimulatedFaults(freeze=0.004),
    "a store that fails": SimulatedFaults(store_fails=0.03),
    "a store that forgets": SimulatedFaults(store_forgets=0.05),
    "a store in conflict": SimulatedFaults(store_conflicts=0.3),
    "posts that fail": SimulatedFaults(post_fails=0.2, post_hangs=0.01),
    "posts that lie": SimulatedFaults(post_lies=0.1),
    "invocations": SimulatedFaults(invocation_lost=0.2, invocation_doubled=0.3, invocation_late=0.1),
    "the model": SimulatedFaults(model_fails=0.05, model_silent=0.01),
    "clocks": SimulatedFaults(skew=300.0, kill=0.002),
    "everything": SimulatedFaults(
        kill=0.002,
        freeze=0.002,
        store_fails=0.01,
        store_forgets=0.01,
        store_conflicts=0.05,
        post_fails=0.05,
        post_lies=0.02,
        post_hangs=0.005,
        invocation_lost=0.05,
        invocation_doubled=0.1,
        invocation_late=0.02,
        model_fails=0.01,
        model_silent=0.005,
        skew=20.0,
    ),
}


@pytest.mark.parametrize("mix", MIXES)
def test_the_promises_hold_under(mix):
    turns, number = 0, 0
    while turns < 850:
        seed = (SEED, mix, number)
        print(f"PARLEY_SEED={SEED} world {number}")
        run = simulate(seed, MIXES[mix], QUESTIONS)
        check(run)
        turns, number = turns + run.turns, number + 1


def test_the_promises_hold_to_the_letter_where_nothing_goes_wrong():
    turns, number = 0, 0
    while turns < 1_500:
        print(f"PARLEY_SEED={SEED} world {number}")
        run = simulate((SEED, number), None, QUESTIONS)
        check_without_faults(run)
        turns, number = turns + run.turns, number + 1


def test_a_seed_lives_through_the_same_again():
    def digest(seed):
        return zlib.crc32("\n".join(simulate(seed, MIXES["everything"]).deployment.history).encode())

    assert digest((SEED, 1)) == digest((SEED, 1)) != digest((SEED, 2))


@pytest.fixture
def pair():
    """Two devices of one user in one chat, in a world without faults."""
    deployment = SimulatedDeployment((SEED, "pair"))
    devices = [SimulatedDevice(deployment, name) for name in "ab"]
    for device in devices:
        device.connect()
    deployment.world.run(3)
    return deployment, devices


def test_one_of_two_devices_wins_a_thousand_times(pair):
    deployment, devices = pair
    for race in range(1_000):
        for device in devices:
            deployment.message(device.connection_id, {"type": "message", "data": {"message": f"{device.name}{race}"}})
        deployment.world.run(deployment.world.time + 20)
    questions = [message.content for message in deployment.messages if message.role == "user"]
    assert [question[1:] for question in questions] == [str(race) for race in range(1_000)]
    assert sorted(devices[0].errors + devices[1].errors) == ["busy"] * 1_000
    for device in devices:
        assert [len(reading.completes) for reading in device.readings.values()] == [1] * 1_000


def test_a_thousand_duplicate_invocations_ask_nothing_and_say_nothing(pair):
    deployment, devices = pair
    devices[0].say("q0")
    deployment.world.run(60)
    frames, asked, chat = len(deployment.history), len(deployment.model.answers), deployment.chat
    for _ in range(1_000):
        deployment.invoke(deployment.invoked[0])
    deployment.world.run(130)
    said = [line for line in deployment.history[frames:] if '"pong"' not in line]
    assert (said, len(deployment.model.answers), deployment.chat) == ([], asked, chat)


@pytest.mark.parametrize(("pinging", "seconds"), [(True, 21.0), (False, 75.0)])
def test_a_worker_that_is_killed_is_taken_over_in_time(pinging, seconds, monkeypatch):
    if not pinging:
        monkeypatch.setattr(SimulatedDevice, "PING", 10**9)
    for number in range(100):
        deployment = SimulatedDeployment((SEED, "killed", number))
        world, device = deployment.world, SimulatedDevice(deployment, "a")
        device.connect()
        world.run(2)
        device.say("q0")
        world.run(2 + world.random.uniform(0.05, 0.4))
        killed = world.time
        for worker in deployment.workers:
            worker.kill()
        world.run(killed + 300)
        ends = [line for line in deployment.history if "assistant_message_start" in line and '"attempt":1,' not in line]
        if not device.readings or not ends:
            [reading] = device.readings.values()
            assert reading.completes, "it had ended, or had not begun, when its worker was killed"
            continue
        assert float(ends[0].split()[0]) - killed <= seconds


def test_a_turn_whose_every_attempt_dies_ends_within_200_seconds(monkeypatch):
    # No client takes the turn over: one that has the reply's start would join again when it hears nothing more.
    monkeypatch.setattr(SimulatedDevice, "PING", 10**9)
    monkeypatch.setattr(SimulatedDevice, "SILENCE", 10**9)
    deployment = SimulatedDeployment((SEED, "every attempt dies"))
    world, device = deployment.world, SimulatedDevice(deployment, "a")

    def answer(prompt):
        world.current.kill()
        world.sleep(1)

    monkeypatch.setattr(deployment.model, "answer", answer)
    device.connect()
    world.run(2)
    device.say("q0")
    world.run(600)
    [end] = [line for line in deployment.history if "assistant_message_complete" in line]
    assert APOLOGY in end
    assert 180 < float(end.split()[0]) - 2 <= 200, "two retries, after one minute and two"
