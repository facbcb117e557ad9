"""The roles of our template: without an action that it needs a conversation fails, and one too many is listed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from parley.template.source import load

from tests.support.devices import ROOT, Device, Emulator

TEMPLATE = ROOT / "infra" / "template.yaml"
MESSAGES = "arn:aws:dynamodb:us-east-1:000000000000:table/MessagesTable"
USERS = "arn:aws:dynamodb:us-east-1:000000000000:table/UsersTable"


def statements(part: Any) -> Iterator[dict[str, Any]]:
    """Return all statements of policies in a part of a template."""
    if isinstance(part, dict):
        if "Effect" in part and "Action" in part:
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from statements(each)


def changed(folder: Path) -> Path:
    """Return our template, in which DefaultFunction may store no message and ConnectFunction may delete a table."""
    template = load(TEMPLATE.read_text())
    for properties in (
        template["Globals"]["Function"],
        *(each["Properties"] for each in template["Resources"].values()),
    ):
        if "CodeUri" in properties:
            properties["CodeUri"] = str((TEMPLATE.parent / properties["CodeUri"]).resolve())
    removed = 0
    for name, resource in template["Resources"].items():
        for statement in statements(resource) if name.startswith("DefaultFunction") else ():
            if statement.get("Resource") == {"Fn::GetAtt": "MessagesTable.Arn"}:
                statement["Action"].remove("dynamodb:PutItem")
                removed += 1
    assert removed == 1
    template["Resources"]["Added"] = {
        "Type": "AWS::IAM::Policy",
        "Properties": {
            "PolicyName": "added",
            "Roles": [{"Ref": "ConnectFunctionRole"}],
            "PolicyDocument": {
                "Statement": {
                    "Effect": "Allow",
                    "Action": ["dynamodb:DeleteTable"],
                    "Resource": {"Fn::GetAtt": "UsersTable.Arn"},
                }
            },
        },
    }
    path = folder / "template.json"
    path.write_text(json.dumps(template))
    return path


@pytest.fixture(scope="module", params=["enforce", "report"])
def emulator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    template = changed(tmp_path_factory.mktemp("infra"))
    emulator = Emulator(PARLEY_TEMPLATE=str(template), PARLEY_IAM=request.param, PARLEY_USERS="alice")
    emulator.mode = request.param
    yield emulator
    emulator.stop()


def test_a_missing_action_stops_the_conversation_and_is_named(emulator):
    alice = Device(emulator.websocket_url)
    alice.join("alice")
    alice.create_chat()
    alice.send("message", message="Hello")
    kind = "user_message" if emulator.mode == "report" else "error"
    assert alice.receive(kind)["type"] == kind
    alice.socket.close()

    assert emulator.missing() == [("DefaultFunction", "dynamodb:PutItem", MESSAGES)]
    [line] = [line for line in emulator.output if " denied " in line]
    assert f"DefaultFunction may not dynamodb:PutItem on {MESSAGES}" in line
    assert json.loads(line[line.index("{") :]) == {
        "Effect": "Allow",
        "Action": "dynamodb:PutItem",
        "Resource": MESSAGES,
    }


def test_an_action_too_many_is_listed(emulator):
    alice = Device(emulator.websocket_url)
    alice.join("alice")
    alice.socket.close()

    grants = {
        (action, each["resource"])
        for each in emulator.roles()["ConnectFunction"]["unused"]
        for action in each["actions"]
    }
    assert ("dynamodb:DeleteTable", USERS) in grants
    assert not [action for action, _ in grants if action == "lambda:InvokeFunction"]


def test_at_the_end_the_log_lists_unused_grants(emulator):
    emulator.stop()
    emulator.reading.join(10)
    lines = [line for line in emulator.output if " unused " in line]
    assert any("ConnectFunction did not use" in line and "dynamodb:DeleteTable" in line for line in lines)
    assert any("EraseFunction" in line and "made no call" in line for line in lines)
