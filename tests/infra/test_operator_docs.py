"""The pages for operators have what the templates have: each alarm, each parameter, each queue, each log event."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from parley.template.source import load

ROOT = Path(__file__).parents[2]
DEPLOY, OPERATIONS = ((ROOT / "docs" / name).read_text() for name in ("deploy.md", "operations.md"))
TEMPLATE, EDGE = (load((ROOT / "infra" / name).read_text()) for name in ("template.yaml", "edge.yaml"))
FIELDS = {"chat_id", "message_id", "user_id", "function_request_id", "join_chat"}
"""Words in the form of a log event that are none."""


def section(text: str, heading: str) -> str:
    """Return what is below a heading, up to the next one of the same rank or a higher one."""
    rank = heading.split(" ")[0]
    _, _, below = text.partition(f"\n{heading}\n")
    assert below, heading
    return re.split(rf"\n#{{1,{len(rank)}}} ", below)[0]


def first_column(text: str) -> set[str]:
    return set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


ALARMS = [name for name, each in TEMPLATE["Resources"].items() if each["Type"] == "AWS::CloudWatch::Alarm"]


def test_each_alarm_has_a_section_and_no_section_is_of_another():
    assert re.findall(r"^### (\w+)$", section(OPERATIONS, "## Alarms"), re.MULTILINE) == ALARMS


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_is_explained_by_its_meaning_the_first_look_and_the_remedy(alarm):
    explained = section(OPERATIONS, f"### {alarm}")
    assert re.findall(r"^- \*\*(.*?)\.\*\*", explained, re.MULTILINE) == ["Meaning", "First look", "Remedy"]


def test_each_parameter_has_a_row_and_no_row_is_of_another():
    assert first_column(section(DEPLOY, "## Parameters")) == set(TEMPLATE["Parameters"])


def test_each_parameter_of_the_edge_stack_has_a_row_with_its_default():
    table = section(DEPLOY, "## The edge stack")
    rows = re.findall(r"^\| `([A-Z]\w+)` \| (.*?) \|", table, re.MULTILINE)
    defaults = {name: declared.get("Default", "none") or "empty" for name, declared in EDGE["Parameters"].items()}
    assert {name: default.strip("`") for name, default in rows} == defaults


def test_both_pages_and_the_edge_stack_say_that_nobody_has_tried_it():
    assert "Nobody has run this on AWS yet" in DEPLOY
    assert "It has not been tried on AWS" in section(DEPLOY, "## The edge stack")
    assert "Nobody has run them on AWS yet" in " ".join(OPERATIONS.split())


def test_the_list_for_the_first_deployment_has_ten_lines():
    listed = section(DEPLOY, "## The list for the first one")
    assert re.findall(r"^(\d+)\. ", listed, re.MULTILINE) == [str(number) for number in range(1, 11)]


def test_each_dead_letter_queue_can_be_named():
    queues = {name.removesuffix("DeadLetterQueueUrl") for name in TEMPLATE["Outputs"] if "DeadLetterQueue" in name}
    assert queues == {"Generate", "GiveUp", "Deliver", "Erase", "Anonymous"}
    for queue in queues:
        assert re.search(rf"--queue {queue}\b|queue `{queue}`", OPERATIONS), queue


def test_the_log_events_that_are_named_exist():
    events = first_column((ROOT / "docs" / "log-events.md").read_text())
    named = set(re.findall(r"[`\"]([a-z]+(?:_[a-z]+)+)[`\"]", OPERATIONS)) - FIELDS
    assert named
    assert named <= events


def test_the_log_groups_that_are_named_exist():
    groups = {
        each["Properties"]["LogGroupName"]["Fn::Sub"].rpartition("/")[2]
        for each in TEMPLATE["Resources"].values()
        if each["Type"] == "AWS::Logs::LogGroup"
    }
    named = re.findall(r"/aws/lambda/parley-prod/(\{[\w,-]+\}|[\w-]+)", OPERATIONS)
    assert named
    assert {name for each in named for name in each.strip("{}").split(",")} <= groups


@mock_aws
def test_the_program_that_copies_items_back_copies_those_that_are_named(monkeypatch, capsys):
    shown = section(OPERATIONS, "## Restoring a table")
    [program] = re.findall(r"<<'END'\n(.*?)\n *END\n", shown, re.DOTALL)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    tables = boto3.resource("dynamodb")
    for name in ("restored", "live"):
        tables.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in ("chatId", "messageId")],
            KeySchema=[
                {"AttributeName": "chatId", "KeyType": "HASH"},
                {"AttributeName": "messageId", "KeyType": "RANGE"},
            ],
        )
    for chat, message in (("lost", "1"), ("lost", "2"), ("other", "3")):
        tables.Table("restored").put_item(Item={"chatId": chat, "messageId": message, "content": "x"})

    monkeypatch.setattr(sys, "argv", ["-", "restored", "live", "chatId", "lost"])
    exec(compile(textwrap.dedent(program), "docs/operations.md", "exec"), {})

    copied = tables.Table("live").scan()["Items"]
    assert sorted((item["chatId"], item["messageId"]) for item in copied) == [("lost", "1"), ("lost", "2")]
    assert capsys.readouterr().out == "2 items copied\n"
