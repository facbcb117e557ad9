"""Turns with tools in a simulated world: each run of a tool is noted, and what the model and the devices get of it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from handlers.chat.assistants import Assistant, ToolContext
from handlers.chat.assistants.registry import Assistants
from handlers.chat.records import CallState, FinishReason, Message, PartState, Role, Step, ToolCall
from handlers.chat.replies.deltas import Delta
from handlers.chat.replies.messages import BREAK
from handlers.chat.replies.worker import ReplyWorker
from tests.faults.simulation.chat import CHAT, SimulatedDeployment, SimulatedDevice, running
from tests.faults.simulation.scenario import QUIET_AFTER, SimulationRun, check_order, check_what_was_read
from tests.faults.simulation.services import SimulatedAnswer, SimulatedFaults, SimulatedModel
from tests.faults.simulation.world import SimulatedProcess

APOLOGY = "Извините, произошла ошибка при обработке вашего сообщения."
MOST_STEPS = 3


class _Answer(SimulatedAnswer):
    """An answer that may ask for calls at its end."""

    calls: tuple[ToolCall, ...] = ()

    def __iter__(self) -> Iterator[Delta]:
        for delta in super().__iter__():
            yield replace(delta, calls=self.calls) if delta.finish_reason else delta


@dataclass
class ToolModel(SimulatedModel):
    """A model that calls tools in some steps, and answers then. It fails the world if a result is not stored."""

    deployment: Any = None

    def answer(self, question: Any) -> SimulatedAnswer:
        for step in question.steps:
            for each in step.calls:
                assert each.result in self.deployment.stored_results(), "a result was used before it was stored"
        self.prompts.append([(each.role.value, each.text) for each in question.prompt])
        self.answers.append(answer := _Answer(self.services, len(self.answers), self))
        random = self.services.world.random
        if question.tools and question.may_call and random.random() < 1 - len(question.steps) / MOST_STEPS:
            answer.calls = tuple(ToolCall("work", "{}") for _ in range(random.randint(1, 3)))
        return answer


@dataclass
class Run:
    """One run of a tool: its process, and whether the tool came to its end."""

    process: SimulatedProcess
    over: bool = False


class ToolDeployment(SimulatedDeployment):
    """A deployment whose assistant has a tool."""

    def __init__(self, seed: object, faults: SimulatedFaults | None = None) -> None:
        super().__init__(seed, faults)
        self.model = ToolModel(self.services, deployment=self)
        self.runs: dict[str, list[Run]] = defaultdict(list)
        self.repeated: list[str] = []
        """The calls that ran although their result was stored."""

    def work(self, context: ToolContext) -> str:
        """Do something that takes its time."""
        runs = self.runs[context.call_id]
        if any(context.call_id in text for text in self.stored_results()):
            self.repeated.append(context.call_id)
        runs.append(run := Run(self.world.current))
        text = f"run {len(runs)} of {context.call_id}"
        self.services.travel(self.world.random.choice([0.01, 1.0, 20.0]))
        run.over = True
        return text

    def stored_results(self) -> set[str]:
        """The texts of all stored results."""
        steps: list[Step] = [step for kept in self.store.tables.steps.values() for step in kept.values()]
        return {call.result.text for step in steps for call in step.calls if call.result}

    def _worker(self, process: SimulatedProcess) -> ReplyWorker:
        assistants = Assistants({"default": Assistant(id="default", tools=(self.work,))})
        return super()._worker(process, assistants)


def simulate_tools(seed: object, faults: SimulatedFaults | None = None, questions: int = 8) -> SimulationRun:
    """Let two devices talk with an assistant that has a tool, then wait until everything is over."""
    deployment = ToolDeployment(seed, faults)
    world, random = deployment.world, deployment.world.random
    devices = [SimulatedDevice(deployment, name) for name in "ab"]
    run = SimulationRun(deployment, devices)
    for device in devices:
        device.connect()
    at = 2.0
    for number in range(questions):
        speaker = random.choice(devices)
        world.later(at, lambda speaker=speaker, number=number: speaker.say(f"q{number}"))
        match random.randint(0, 5):
            case 0:
                world.later(at + random.uniform(0, 20), speaker.cancel)
            case 1:
                world.later(at + random.uniform(0, 20), speaker.disconnect)
                world.later(at + random.uniform(0, 40), speaker.connect)
        at += random.choice([random.uniform(0, 5), random.uniform(0, 60)])
    for device in devices:
        world.later(at + 60, device.connect)
    world.run(max(at + 60, SimulatedFaults.NONE_AFTER) + QUIET_AFTER)
    return run


def check_tools(run: SimulationRun) -> None:
    """Check the promises of turns with tools that hold under every fault."""
    deployment = run.deployment
    assert deployment.world.failures == [], "an unexpected exception"
    assert not running(deployment), "a turn never came to its end"
    roles = [message.role for message in deployment.messages]
    assert roles == [Role.USER, Role.ASSISTANT] * (len(roles) // 2), "not one reply to one message"
    check_order(run)
    for device in run.devices:
        check_what_was_read(run, device)
    for message in deployment.messages:
        if message.role is Role.ASSISTANT:
            _check_reply(deployment, message)


def check_not_repeated(run: SimulationRun) -> None:
    """Check that no call began whose result was stored. A worker that stands still just before may begin one."""
    assert run.deployment.repeated == [], "a call ran again although its result was stored"


def check_runs(run: SimulationRun) -> None:
    """Check that nothing ran again but what its worker had died in."""
    deployment = run.deployment
    check_not_repeated(run)
    for call_id, runs in deployment.runs.items():
        again = [each for each in runs[:-1] if not each.process.dead]
        assert not again, f"{call_id} ran again although its worker lived"


def _check_reply(deployment: SimulatedDeployment, message: Message) -> None:
    steps = deployment.store.tables.steps.get((CHAT, message.message_id), {})
    stored = [steps[number] for number in sorted(steps)]
    text = message.content.removesuffix(APOLOGY).removesuffix(BREAK)
    kept = BREAK.join(step.text for step in stored)
    assert text.startswith(kept), "the text of a stored step is not in the reply"
    for said in text.split(BREAK):
        answers = re.findall(r"a(\d+)w(\d+)", said)
        assert len({answer for answer, _ in answers}) <= 1, "the words of two answers are mixed"
        assert [int(word) for _, word in answers] == list(range(len(answers))), "a word is lost or doubled"
    calls = [
        (f"{message.message_id}-{step.number:02}-{place:02}", call.result)
        for step in stored
        for place, call in enumerate(step.calls)
    ]
    assert [part.call_id for part in message.parts] == [call_id for call_id, _ in calls], "the parts are not the calls"
    over = message.finish_reason in (FinishReason.CANCELLED, FinishReason.ERROR)
    for part, (_, result) in zip(message.parts, calls, strict=True):
        if part.state is PartState.DONE:
            assert result is not None, "a result that is not stored"
            assert (part.result, result.state) == (result.text, CallState.DONE), "another result than is stored"
        else:
            assert over or part.state is PartState.ERROR, "an open call in a reply that was finished"
