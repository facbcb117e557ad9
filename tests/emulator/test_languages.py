"""A chat whose functions are in JavaScript, and one executable: the shape of most public samples."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import npm
from tests.support.devices import Emulator
from tests.support.node import node
from tests.support.plain_client import PlainClient
from tests.support.process_tree import is_running
from tests.support.waiting import HANGS, until

FOLDER = Path(__file__).parent / "templates" / "node"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    node()
    npm.install(FOLDER)
    if not shutil.which("curl"):
        pytest.skip("there is no curl here")
    emulator = Emulator(PARLEY_TEMPLATE=str(FOLDER / "template.yaml"), PARLEY_IAM="enforce")
    yield emulator
    emulator.stop()


@pytest.mark.parametrize("how", ["v2 event", "v2 composed", "v3 event", "v3 composed", "v3 variable"])
def test_a_message_reaches_everyone_in_each_way_to_post(emulator, how):
    ann, bob = PlainClient(emulator, "/Prod"), PlainClient(emulator, "/Prod")
    ann.socket.send(json.dumps({"action": "sendmessage", "how": how, "text": "hä"}))
    assert [each.socket.recv(HANGS) for each in (ann, bob)] == ["hä", "hä"]
    for each in (ann, bob):
        each.socket.close()
    until(lambda: stored(emulator) == [])


def test_an_executable_answers_a_route(emulator):
    client = PlainClient(emulator, "/Prod")
    assert client.ask('{"action": "shout", "text": "hello"}') == "HELLO!"
    client.socket.close()


def stored(emulator: Emulator) -> list[object]:
    """Return what is in the table of connections."""
    return list(emulator.client("dynamodb").scan(TableName="Room")["Items"])


ORPHANS = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: live
      RouteSelectionExpression: $request.body.action
      Routes:
        node: {FunctionArn: !GetAtt Node.Arn, RouteResponseSelectionExpression: $default}
        executable: {FunctionArn: !GetAtt Executable.Arn, RouteResponseSelectionExpression: $default}
  Node:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs22.x
      Handler: index.handler
      InlineCode: |
        const { spawn } = require('node:child_process');
        const child = spawn('sleep', ['1000']);
        exports.handler = async () => ({ body: `${process.pid} ${child.pid}` });
  Executable:
    Type: AWS::Serverless::Function
    Properties: {Runtime: provided.al2023, CodeUri: code}
"""
EXECUTABLE = f"""#!{sys.executable}
import http.client, json, os, subprocess
child = subprocess.Popen(["sleep", "1000"])
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = api.getresponse()
    answer.read()
    body = json.dumps({{"body": f"{{os.getpid()}} {{child.pid}}"}})
    id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
    api.request("POST", f"/2018-06-01/runtime/invocation/{{id}}/response", body)
    api.getresponse().read()
"""


def test_if_the_emulator_is_killed_no_function_outlives_it(tmp_path):
    node()
    (tmp_path / "code").mkdir()
    (tmp_path / "template.yaml").write_text(ORPHANS)
    (tmp_path / "code" / "bootstrap").write_text(EXECUTABLE)
    (tmp_path / "code" / "bootstrap").chmod(0o755)
    emulator = Emulator(PARLEY_TEMPLATE=str(tmp_path / "template.yaml"))
    client = PlainClient(emulator, "/live")
    answers = [client.ask(json.dumps({"action": action})) for action in ("node", "executable")]
    pids = [int(pid) for answer in answers for pid in answer.split()]
    assert len(pids) == 4
    assert all(map(is_running, pids))
    emulator.process.kill()
    emulator.process.wait()
    until(lambda: not any(map(is_running, pids)))
