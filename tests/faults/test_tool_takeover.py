"""Workers that die around a call of a tool, or a step of an own agent, through real processes. All run at once."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from handlers.chat.turns.lifecycle import MAX_ATTEMPTS
from tests.faults.users import APOLOGY, USERS, ChatUser, check, plan
from tests.support import own_project
from tests.support.devices import Emulator
from tests.support.unlimited import UNLIMITED
from tests.support.waiting import until

END = 900.0
"""Seconds after which a turn hangs."""

ASSISTANT = """
import os
import pathlib
import signal

from handlers.chat.assistants import Assistant, ToolContext, tool

RUNS = pathlib.Path({runs!r})


def work(context: ToolContext, dies: str = "never") -> str:
    \"\"\"Do something once, and perhaps die at it.\"\"\"
    def note(what):
        with (RUNS / f"{{context.chat_id}}.txt").open("a") as file:
            file.write(f"{{what}} {{context.call_id}}\\n")

    first = not (RUNS / context.call_id).exists()
    (RUNS / context.call_id).touch()
    note("begun")
    if dies == "always" or dies == "before" and first:
        os.kill(os.getpid(), signal.SIGKILL)
    note("done")
    if dies == "after" and first:
        os.kill(os.getpid(), signal.SIGKILL)
    return context.call_id


def stand(context: ToolContext) -> str:
    \"\"\"Stand still where it runs first, until somebody lets it go on.\"\"\"
    notes = RUNS / f"{{context.chat_id}}.stand"
    if notes.exists():
        return "in time"
    notes.write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGSTOP)
    notes.with_suffix(".late").touch()
    return "late"


assistant = Assistant(tools=(work, stand, tool(name="pay", needs_approval=True)(work)))
"""

AGENT = """
import os
import pathlib
import signal

RUNS = pathlib.Path({runs!r})


async def reply(turn):
    def die_at(point):
        if turn.attempt == 1 and turn.question == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def work(name):
        with (RUNS / f"{{turn.chat_id}}.txt").open("a") as file:
            file.write(f"{{name}}\\n")
        die_at(f"inside {{name}}")
        return f"{{name}} by {{turn.attempt}}"

    yield f"{{await turn.step('one', work, 'one')}}, "
    die_at("between")
    yield await turn.step("two", work, "two")
    die_at("after")
"""

CALL = "/tool work"
DIES = '/tool work {{"dies": "{}"}}'
TWO_STEPS = f"{CALL}\n{CALL}\n/then\n{CALL}"

POINTS: dict[str, tuple[tuple[Any, ...] | None, str, dict[str, int]]] = {
    "before its step is stored": (("TransactWriteItems", "#steps", {}), TWO_STEPS, {}),
    "when its step is stored": (("TransactWriteItems", "#steps", {"after": True}), TWO_STEPS, {}),
    "before the second step is stored": (("TransactWriteItems", "#steps", {"nth": 2}), TWO_STEPS, {}),
    "before a tool has done anything": (None, f"{DIES.format('before')}\n/then\n{CALL}", {"01-00": 2}),
    "when a tool has done everything": (None, f"{DIES.format('after')}\n/then\n{CALL}", {"01-00": 2}),
    "before the only result is stored": (("UpdateItem", "#steps", {}), f"{CALL}\n/then\n{CALL}", {"01-00": 2}),
    "when the only result is stored": (("UpdateItem", "#steps", {"after": True}), f"{CALL}\n/then\n{CALL}", {}),
    "before the seal": (("TransactWriteItems", "announcements", {}), TWO_STEPS, {}),
    "after the seal": (("TransactWriteItems", "announcements", {"after": True}), TWO_STEPS, {}),
}
"""Where the worker is killed: the request of the store and what it says, the question, and the calls that run again."""

AGENT_POINTS: dict[str, tuple[tuple[Any, ...] | None, list[str], str]] = {
    "inside one": (None, ["one", "one", "two"], "one by 2, two by 2"),
    "before one is stored": (("TransactWriteItems", "#steps", {}), ["one", "one", "two"], "one by 2, two by 2"),
    "when one is stored": (("TransactWriteItems", "#steps", {"after": True}), ["one", "two"], "one by 1, two by 2"),
    "between": (None, ["one", "two"], "one by 1, two by 2"),
    "inside two": (None, ["one", "two", "two"], "one by 1, two by 2"),
    "before two is stored": (
        ("TransactWriteItems", "#steps", {"nth": 2}),
        ["one", "two", "two"],
        "one by 1, two by 2",
    ),
    "after": (None, ["one", "two"], "one by 1, two by 1"),
}
"""Where the worker of an own agent is killed: the fault if it does not kill itself, what runs, and the reply."""


ASKING = f"/tool pay\n{CALL}"

APPROVALS: dict[str, tuple[str, str, str, dict[str, Any], int]] = {
    "before the turn waits": ("GenerateFunction", "UpdateItem", "size (", {}, 3),
    "when the turn waits": ("GenerateFunction", "UpdateItem", "size (", {"after": True}, 2),
    "before the answer is stored": ("DefaultFunction", "TransactWriteItems", "approved", {}, 2),
    "when the answer is stored": ("DefaultFunction", "TransactWriteItems", "approved", {"after": True}, 2),
    "before the turn goes on": ("DefaultFunction", "UpdateItem", "since", {}, 2),
    "when the turn goes on": ("DefaultFunction", "UpdateItem", "since", {"after": True}, 2),
    "before the approved call has its result": ("GenerateFunction", "UpdateItem", "-01-00", {}, 3),
}
"""Where which function is killed around an approval, at which request, and the attempt that makes the reply."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which each chat's runs of the tool are noted."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, runs: Path):
    folder = tmp_path_factory.mktemp("project")
    template = own_project.copy(folder)
    (folder / "handlers" / "assistants" / "default.py").write_text(ASSISTANT.format(runs=str(runs)))
    (folder / "handlers" / "assistants" / "agent.py").write_text(AGENT.format(runs=str(runs)))
    plan = folder / "plan.json"
    plan.write_text("{}")
    emulator = Emulator(
        PARLEY_TEMPLATE=template,
        PARLEY_IAM="enforce",
        PARLEY_FAULTS=str(plan),
        PARLEY_USERS=",".join(f"user{number}" for number in range(USERS)),
        PARLEY_RETRY_DELAY="16",
        PARLEY_ENVIRONMENTS="40",
        ANONYMOUS_SECONDS="600",
        CHAT_LANGUAGE="en",
        **UNLIMITED,
    )
    yield emulator
    missing = emulator.missing()
    emulator.stop()
    assert missing == []


def agent_scenario(emulator: Emulator, point: str) -> ChatUser:
    """Ask an own agent, let its worker die at a point, and return the user once the reply is whole."""
    user = ChatUser(emulator, assistant="agent")
    if (fault := AGENT_POINTS[point][0]) is not None:
        operation, says, options = fault
        user.fault("store", "kill", user.chat_id, "GenerateFunction", operation, says, **options)
    user.say(point)
    user.reply(END)
    check(user)
    return user


def scenario(emulator: Emulator, point: str) -> tuple[ChatUser, dict[str, Any]]:
    """Ask, let the worker die at a point, and return the user and the stored reply."""
    fault, question, _ = POINTS[point]
    user = ChatUser(emulator)
    if fault is not None:
        operation, says, options = fault
        user.fault("store", "kill", user.chat_id, "GenerateFunction", operation, says, **options)
    user.say(question)
    user.reply(END)
    check(user)
    return user, user.stored()[1]


def waiting(user: ChatUser) -> str | None:
    """The id of the reply that waits for this user, if one does."""
    turn = user.chat().get("turn", {}).get("M", {})
    return turn["messageId"]["S"] if "waiting" in turn else None


def asking_scenario(emulator: Emulator, point: str) -> tuple[ChatUser, dict[str, Any]]:
    """Ask for a call that needs approval, approve it, let a function die at a point, and return the same."""
    function, operation, says, options, _ = APPROVALS[point]
    user = ChatUser(emulator)
    user.fault("store", "kill", user.chat_id, function, operation, says, **options)
    user.say(ASKING)
    until(lambda: waiting(user), END)
    message_id = waiting(user)
    while waiting(user) == message_id:
        # The function that takes it may be killed. Then nothing says so, and a client asks again.
        user.send("approve", callId=f"{message_id}-01-00", approved=True)
        time.sleep(3)
    user.reply(END)
    check(user)
    [hits] = [fault["hits"] for fault in plan(emulator, "GET")["faults"] if user.chat_id in fault["match"]]
    assert hits == 1, "nobody was killed"
    return user, user.stored()[1]


@pytest.fixture(scope="module")
def agent_outcomes(emulator: Emulator) -> dict[str, Future[ChatUser]]:
    pool = ThreadPoolExecutor(len(AGENT_POINTS))
    return {point: pool.submit(agent_scenario, emulator, point) for point in AGENT_POINTS}


@pytest.fixture(scope="module")
def outcomes(emulator: Emulator) -> dict[str, Future[tuple[ChatUser, dict[str, Any]]]]:
    pool = ThreadPoolExecutor(len(POINTS) + len(APPROVALS))
    plain = {point: pool.submit(scenario, emulator, point) for point in POINTS}
    return plain | {point: pool.submit(asking_scenario, emulator, point) for point in APPROVALS}


def test_a_call_that_kills_every_worker_ends_with_the_apology(emulator, runs, outcomes, agent_outcomes):
    """Nobody pings, so the function that gives up ends the turn. It reads the steps with a role of its own."""
    user = ChatUser(emulator, pinging=False)
    user.say(f"{DIES.format('always')}\n{CALL}")
    complete = user.reply(END).completes[0]
    check(user)
    assert (complete["content"], complete["finishReason"]) == (APOLOGY, "error")
    reply = user.stored()[1]
    states = [part["state"] for part in json.loads(reply["parts"])]
    assert (states[0], len(states)) == ("error", 2)
    lines = (runs / f"{user.chat_id}.txt").read_text().split("\n")
    begun = Counter(line.partition(" ")[2] for line in lines if line.startswith("begun"))
    assert begun[f"{reply['messageId']}-01-00"] == MAX_ATTEMPTS


@pytest.mark.parametrize("point", POINTS)
def test_what_is_finished_is_not_repeated_and_the_reply_is_whole(outcomes, runs, point):
    user, reply = outcomes[point].result(2 * END)
    lines = (runs / f"{user.chat_id}.txt").read_text().split("\n")
    begun = Counter(line.partition(" ")[2] for line in lines if line.startswith("begun"))
    again = {call_id.partition(f"{reply['messageId']}-")[2]: times for call_id, times in begun.items() if times > 1}
    assert again == POINTS[point][2]
    parts = json.loads(reply["parts"])
    assert [(part["callId"], part["state"], part["result"]) for part in parts] == [
        (call_id, "done", call_id) for call_id in sorted(begun)
    ]
    assert reply["finishReason"] == "stop"
    for call_id in begun:
        assert reply["content"].count(call_id) == 1, "the model has read each result once"
    assert int(reply["attempt"]) == (1 if point == "after the seal" else 2)
    reading = user.reply()
    assert reading.text == reading.completes[0]["content"] == reply["content"]


@pytest.mark.parametrize("point", AGENT_POINTS)
def test_a_named_step_that_is_stored_is_not_made_again(agent_outcomes, runs, point):
    user = agent_outcomes[point].result(2 * END)
    _, ran, text = AGENT_POINTS[point]
    assert (runs / f"{user.chat_id}.txt").read_text().split() == ran
    reply = user.stored()[1]
    assert (reply["content"], reply["finishReason"], int(reply["attempt"])) == (text, "stop", 2)
    reading = user.reply()
    assert reading.text == reading.completes[0]["content"] == text


@pytest.mark.parametrize("point", APPROVALS)
def test_a_call_that_was_approved_runs_once_and_the_reply_is_whole(outcomes, runs, point):
    user, reply = outcomes[point].result(2 * END)
    lines = (runs / f"{user.chat_id}.txt").read_text().split("\n")
    begun = Counter(line.partition(" ")[2] for line in lines if line.startswith("begun"))
    in_the_call = point == "before the approved call has its result"
    assert begun == {f"{reply['messageId']}-01-00": 2 if in_the_call else 1, f"{reply['messageId']}-01-01": 1}
    parts = json.loads(reply["parts"])
    assert [(part["callId"], part["state"], part["result"]) for part in parts] == [
        (call_id, "done", call_id) for call_id in sorted(begun)
    ]
    assert (int(reply["attempt"]), reply["finishReason"]) == (APPROVALS[point][4], "stop")
    reading = user.reply()
    assert reading.text == reading.completes[0]["content"] == reply["content"]


def results(emulator: Emulator, user: ChatUser) -> list[str]:
    """The results that are stored of the calls of a chat's turns."""
    items = emulator.client("dynamodb").query(
        TableName="MessagesTable",
        KeyConditionExpression="chatId = :steps",
        ExpressionAttributeValues={":steps": {"S": f"{user.chat_id}#steps"}},
        ConsistentRead=True,
    )["Items"]
    return [item["result"]["S"] for item in items if "result" in item]


def test_a_worker_that_stands_still_in_a_tool_changes_nothing_when_it_goes_on(emulator, runs):
    user = ChatUser(emulator)
    user.say("/tool stand")
    user.reply(END)
    check(user)
    before = user.stored()
    assert results(emulator, user) == ["in time"]
    notes = runs / f"{user.chat_id}.stand"
    late = notes.with_suffix(".late")
    if not late.exists():  # nor has the emulator let it go on
        os.kill(int(notes.read_text()), signal.SIGCONT)
    until(late.exists)
    # Its function is over when it takes another turn, or has ended. A message of another user needs one.
    assert ChatUser(emulator).ask("Hi", END).completes[0]["finishReason"] == "stop"
    assert (results(emulator, user), user.stored()) == (["in time"], before)
    check(user)
