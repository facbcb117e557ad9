"""User actions and faults in any order that Hypothesis finds: the promises hold."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.faults.simulation.chat import SimulatedDeployment, SimulatedDevice
from tests.faults.simulation.scenario import QUIET_AFTER, SimulationRun, check
from tests.faults.simulation.services import SimulatedFaults

DEVICES = st.integers(0, 2)


class ChatMachine(RuleBasedStateMachine):
    """Three devices in one chat, in a world where a fault strikes when a rule says so, and never by chance."""

    @initialize(seed=st.integers(0, 2**32), skew=st.sampled_from([0.0, 20.0, 300.0]))
    def begin(self, seed, skew):
        self.deployment = SimulatedDeployment(("machine", seed), SimulatedFaults(skew=skew))
        self.devices = [SimulatedDevice(self.deployment, name) for name in "abc"]
        self.questions = 0
        self.devices[0].connect()
        self.pass_time(2)

    @rule(seconds=st.sampled_from([0.001, 0.01, 0.1, 0.3, 1, 5, 16, 61, 200]))
    def pass_time(self, seconds):
        self.deployment.world.run(self.deployment.world.time + seconds)

    @rule(device=DEVICES)
    def connect(self, device):
        self.devices[device].connect()

    @rule(device=DEVICES)
    def disconnect(self, device):
        self.devices[device].disconnect()

    @rule(device=DEVICES)
    def say(self, device):
        self.devices[device].say(f"q{self.questions}")
        self.questions += 1

    @rule(device=DEVICES)
    def cancel(self, device):
        self.devices[device].cancel()

    @rule(device=DEVICES)
    def regenerate(self, device):
        self.devices[device].regenerate()

    @rule(device=DEVICES)
    def ping(self, device):
        self.devices[device]._send("ping")

    @precondition(lambda self: self.deployment.workers)
    @rule()
    def kill_the_newest_worker(self):
        self.deployment.workers[-1].kill()

    @precondition(lambda self: self.deployment.workers)
    @rule(seconds=st.sampled_from([1, 16, 40]))
    def freeze_the_newest_worker(self, seconds):
        self.deployment.workers[-1].freeze(seconds)

    @precondition(lambda self: self.deployment.invoked)
    @rule()
    def invoke_again(self):
        self.deployment.invoke(self.deployment.invoked[-1])

    @rule(
        fault=st.sampled_from(
            [
                "store_fails",
                "store_forgets",
                "post_fails",
                "post_lies",
                "invocation_lost",
                "model_fails",
                "model_silent",
            ]
        ),
        seconds=st.sampled_from([0.02, 0.5, 3]),
    )
    def break_for_a_while(self, fault, seconds):
        setattr(self.deployment.faults, fault, 0.5)
        self.pass_time(seconds)
        setattr(self.deployment.faults, fault, 0.0)

    def teardown(self):
        for device in self.devices:
            device.connect()
        self.pass_time(QUIET_AFTER)
        check(SimulationRun(self.deployment, self.devices))


TestChat = ChatMachine.TestCase
TestChat.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
