"""State that the emulator keeps, on any template: whatever it has acknowledged is there after SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import zipfile
from pathlib import Path

import boto3
import pytest

from tests.support import engines
from tests.support.devices import PARLEY, Emulator, free_port
from tests.support.plain_client import PlainClient
from tests.support.waiting import HANGS, until

TEMPLATE = """
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      Routes:
        $connect: {FunctionArn: !GetAtt Route.Arn}
        $disconnect: {FunctionArn: !GetAtt Route.Arn}
        $default: {FunctionArn: !GetAtt Route.Arn}
  Things:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      KeySchema: [{AttributeName: KEY, KeyType: HASH}]
      AttributeDefinitions: [{AttributeName: KEY, AttributeType: S}]
  Work: {Type: AWS::SQS::Queue}
  Route:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      Timeout: 600
      Environment: {Variables: {TABLE: !Ref Things}}
      Policies: [DynamoDBCrudPolicy: {TableName: !Ref Things}]
      InlineCode: |
        import os, time, boto3
        def handler(event, context):
            table = boto3.client("dynamodb")
            if "wait" in event:
                while not os.path.exists(event["wait"]):
                    time.sleep(0.02)
                key = "event"
            else:
                key = event["requestContext"]["eventType"] + " " + event["requestContext"]["connectionId"]
            table.put_item(TableName=os.environ["TABLE"], Item={"KEY": {"S": key}})
            return {"statusCode": 200}
"""

KEYS = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "any")


@pytest.fixture
def project(tmp_path):
    """A folder with a template."""
    engines.binary()
    write(tmp_path, "id")
    return tmp_path


def write(project: Path, key: str) -> None:
    (project / "template.yaml").write_text(TEMPLATE.replace("KEY", key))


@pytest.fixture
def start(project):
    """Starts an emulator of the project, and ends all of them after the test."""
    started = []

    def run(**variables):
        template, data = str(project / "template.yaml"), str(project / ".parley")
        started.append(Emulator(PARLEY_TEMPLATE=template, PARLEY_DATA=data, PARLEY_USERS="", **variables))
        return started[-1]

    yield run
    for each in started:
        if each.process.poll() is None:
            each.stop()


def items(emulator):
    found = emulator.client("dynamodb").scan(TableName="Things")["Items"]
    return {each["id"]["S"] for each in found}


def sqs(emulator):
    return boto3.client("sqs", endpoint_url=f"{emulator.url}/_parley/aws/sqs", region_name="us-east-1", **KEYS)


def queue(emulator):
    return sqs(emulator).get_queue_url(QueueName="Work")["QueueUrl"]


def parley(project, *arguments):
    """Run a command in the project. Return its exit code and all that it has printed."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "XDG_CACHE_HOME") if name in os.environ}
    done = subprocess.run(
        [PARLEY, *arguments], cwd=project, env=environment, capture_output=True, text=True, timeout=HANGS, check=False
    )
    return done.returncode, done.stdout + done.stderr


def refusal(project, **options):
    """Start an emulator that cannot start. Return its one line."""
    named = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    code, printed = parley(project, "up", "--template", "template.yaml", "--port", str(free_port()), *named)
    assert (code, printed.count("\n")) == (1, 1), printed
    return printed


class TestSigkill:
    @pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
    def test_what_was_acknowledged_is_there_after_it(self, start, how, tmp_path):
        first = start()
        first.client("dynamodb").put_item(TableName="Things", Item={"id": {"S": "kept"}})
        sqs(first).send_message(QueueUrl=queue(first), MessageBody="kept")
        PlainClient(first, "/ws/chat")
        until(lambda: any(each.startswith("CONNECT ") for each in items(first)))
        [connected] = [each for each in items(first) if each.startswith("CONNECT ")]
        go_on = tmp_path / "go on"
        first.client("lambda").invoke(
            FunctionName="Route", InvocationType="Event", Payload=json.dumps({"wait": str(go_on)})
        )
        first.stop(how)

        second = start()
        assert {"kept", connected} <= items(second)
        assert [each["Body"] for each in sqs(second).receive_message(QueueUrl=queue(second))["Messages"]] == ["kept"]
        # The event goes on, and the connection gets its `$disconnect`.
        go_on.write_text("")
        wanted = {"event", connected.replace("CONNECT", "DISCONNECT")}
        until(lambda: wanted <= items(second))

    def test_a_third_run_finds_what_is_left_and_calls_nobody_again(self, start):
        first = start()
        PlainClient(first, "/ws/chat")
        until(lambda: any(each.startswith("CONNECT ") for each in items(first)))
        first.stop(signal.SIGKILL)
        second = start()
        until(lambda: any(each.startswith("DISCONNECT ") for each in items(second)))
        second.client("dynamodb").put_item(TableName="Things", Item={"id": {"S": "second"}})
        second.stop(signal.SIGKILL)
        third = start()
        assert "second" in items(third)
        assert not any("$disconnect is called" in line for line in third.output)


class TestTheFolder:
    def test_a_second_emulator_is_refused(self, start, project):
        first = start()
        said = refusal(project)
        assert f"is in use by process {first.process.pid} on port {first.port}" in said
        assert "--no-data" in said

    def test_a_newer_one_is_refused(self, start, project):
        start().stop()
        version = project / ".parley" / "current" / "version.json"
        version.write_text('{"format": 1000}')
        assert "A newer parley has written" in refusal(project)

    def test_a_damaged_one_is_reset_and_saved(self, start, project):
        start().stop()
        tables = project / ".parley" / "current" / "tables.db"
        parley(project, "state", "export", "whole.zip")
        with zipfile.ZipFile(project / "whole.zip") as whole:
            tables.write_bytes(whole.read("tables.db")[:6_000])
        tables.with_name("tables.db-wal").unlink(missing_ok=True)
        said = refusal(project)
        assert "tables.db is damaged" in said
        assert "parley state reset" in said
        assert parley(project, "state", "reset")[0] == 0
        assert items(start()) == set()

    def test_what_cannot_be_written_is_one_line(self, project):
        (project / "file").write_text("")
        assert "Nothing can be kept in" in refusal(project, data="file/data")
        assert "is no data folder: it holds file, template.yaml" in refusal(project, data=".")

    def test_other_keys_are_refused_with_the_command_that_begins_anew(self, start, project):
        first = start()
        first.client("dynamodb").put_item(TableName="Things", Item={"id": {"S": "old"}})
        first.stop()
        write(project, "name")
        said = refusal(project)
        assert "The table Things has the keys id (HASH S), and the template says name (HASH S)" in said
        assert "parley state reset" in said
        write(project, "id")
        assert items(start()) == {"old"}

    def test_without_one_nothing_is_kept(self, project):
        for _ in range(2):
            emulator = Emulator(PARLEY_TEMPLATE=str(project / "template.yaml"), PARLEY_USERS="")
            assert items(emulator) == set()
            emulator.client("dynamodb").put_item(TableName="Things", Item={"id": {"S": "lost"}})
            emulator.stop()
        assert not (project / ".parley").exists()

    def test_what_moto_cannot_keep_is_one_line(self, start, project):
        for _ in range(2):
            emulator = start(PARLEY_DYNAMODB="moto")
            assert items(emulator) == set()
            emulator.client("dynamodb").put_item(TableName="Things", Item={"id": {"S": "lost"}})
            emulator.stop()
        assert len([line for line in emulator.output if "moto has its tables in memory" in line]) == 1


def test_a_state_is_saved_and_restored_and_moved(start, project):
    first = start()
    first.client("dynamodb").put_item(TableName="Things", Item={"id": {"S": "one"}})
    assert parley(project, "state", "save", "one")[0] == 0
    first.client("dynamodb").put_item(TableName="Things", Item={"id": {"S": "two"}})
    code, said = parley(project, "state", "restore", "one")
    assert (code, "is in use by" in said) == (1, True)
    first.stop()
    assert parley(project, "state", "restore", "one") == (0, "Restored one. The state before is saved as `previous`.\n")
    second = start()
    assert items(second) == {"one"}
    assert parley(project, "state", "export", "state.zip")[0] == 0
    second.stop()
    assert parley(project, "state", "reset")[0] == 0
    assert parley(project, "state", "import", "state.zip")[0] == 0
    assert items(start()) == {"one"}
    listed = parley(project, "state", "list")[1].splitlines()
    assert {each.split("\t")[0] for each in listed} == {"one", "previous"}
