"""Clients that people have: the AWS CLI, wscat, Chromium. Python's websockets are everywhere; JavaScript has a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import npm
from tests.support.browser import texts
from tests.support.devices import Emulator
from tests.support.plain_client import PlainClient
from tests.support.waiting import HANGS

NODE_PACKAGES = Path(__file__).with_name("javascript")
TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: live
      RouteSelectionExpression: $request.body.action
      Routes: {$default: {FunctionArn: !GetAtt Say.Arn, RouteResponseSelectionExpression: $default}}
  Say:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      InlineCode: |
        def handler(event, context):
            if event["body"] == "id":
                return {"statusCode": 200, "body": event["requestContext"]["connectionId"]}
            return {"statusCode": 200, "body": "you said " + event["body"]}
  Notes:
    Type: AWS::Serverless::SimpleTable
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    template = tmp_path_factory.mktemp("clients") / "template.yaml"
    template.write_text(TEMPLATE)
    emulator = Emulator(PARLEY_TEMPLATE=str(template))
    yield emulator
    emulator.stop()


@pytest.fixture
def aws(tmp_path):
    """Runs the AWS CLI with any keys, and returns what it prints."""
    program = Path(sys.executable).with_name("aws")
    if not program.exists():
        pytest.skip("the AWS CLI is not in this environment: `uv sync` installs it")
    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_PAGER": "", **keys}

    def run(endpoint, *arguments):
        command = [sys.executable, program, *arguments, "--endpoint-url", endpoint]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=HANGS)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_aws_cli_posts_to_a_connection(aws, emulator):
    client = PlainClient(emulator, "/live")
    named = f"--connection-id={client.ask('id')}"  # an id may begin with a hyphen
    aws(f"{emulator.url}/live", "apigatewaymanagementapi", "post-to-connection", named, "--data", "from the CLI")
    assert client.socket.recv(HANGS) == "from the CLI"


def test_the_aws_cli_invokes_a_function(aws, emulator, tmp_path):
    payload = "--payload", '{"body": "hi"}'
    told = aws(emulator.url, "lambda", "invoke", "--function-name", "Say", *payload, "answer.json")
    assert json.loads(told)["StatusCode"] == 200
    assert json.loads((tmp_path / "answer.json").read_text())["body"] == "you said hi"


def test_the_aws_cli_writes_and_reads_a_table(aws, emulator):
    item = {"id": {"S": "1"}, "text": {"S": "ä"}}
    table = "--table-name", "Notes"
    aws(emulator.dynamodb_url, "dynamodb", "put-item", *table, "--item", json.dumps(item))
    assert json.loads(aws(emulator.dynamodb_url, "dynamodb", "scan", *table))["Items"] == [item]


def test_wscat_sends_messages_and_prints_the_answers(emulator):
    npm.install(NODE_PACKAGES)
    wscat, url = NODE_PACKAGES / "node_modules" / "wscat" / "bin" / "wscat", f"ws://127.0.0.1:{emulator.port}/live"
    command = ["node", wscat, "--connect", url, "--execute", "one", "--execute", "ä", "--wait", "-1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        answers = [process.stdout.readline() for _ in range(2)]
        process.kill()
    assert sorted(answers) == ["you said one\n", "you said ä\n"]


def test_a_page_in_chromium_shows_the_answer(emulator, tmp_path):
    page = f"""
        <p id="answer">waiting</p>
        <script>
          const socket = new WebSocket("ws://127.0.0.1:{emulator.port}/live");
          const show = (text) => {{ document.getElementById("answer").textContent = text; }};
          socket.onopen = () => socket.send("hello from a page");
          socket.onmessage = (event) => show(event.data);
          socket.onerror = () => show("the WebSocket has failed");
        </script>
    """
    shown = texts(page, tmp_path)
    assert next(text for text in shown if text != "waiting") == "you said hello from a page"
    shown.close()
