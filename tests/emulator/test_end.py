"""The end of the emulator: no process of a function stays, in whatever language it is, and whatever it has started."""

import json
import signal

import pytest
from botocore.config import Config

from tests.support import bad_handlers
from tests.support.devices import Emulator, free_port
from tests.support.node import node
from tests.support.process_tree import descendants, is_running
from tests.support.waiting import HANGS, until

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Timeout: 900, MemorySize: 512}}
Resources:
  Python: {Type: AWS::Serverless::Function, Properties: {CodeUri: python, Handler: app.handler}}
  Node: {Type: AWS::Serverless::Function, Properties: {CodeUri: node, Handler: app.handler, Runtime: nodejs22.x}}
  Executable: {Type: AWS::Serverless::Function, Properties: {CodeUri: executable, Handler: any, Runtime: provided.al2}}
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: live
      RouteSelectionExpression: $request.body.action
      Routes: {$default: {FunctionArn: !GetAtt Python.Arn}}
"""


@pytest.fixture
def emulator(tmp_path):
    node()  # skipped without one
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    bad_handlers.write_all(tmp_path)
    started = Emulator(PARLEY_TEMPLATE=str(tmp_path / "template.yaml"), PARLEY_USERS="")
    yield started
    started.stop(signal.SIGKILL)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_of_it_stays(emulator, how):
    lambda_ = emulator.client("lambda", config=Config(read_timeout=HANGS, retries={"total_max_attempts": 1}))
    left = set()
    for name in ("Python", "Node", "Executable"):
        event = json.dumps([free_port(), free_port()])  # one child in the function's group, one that leaves it
        left |= set(json.load(lambda_.invoke(FunctionName=name, Payload=event)["Payload"]))
        lambda_.invoke(FunctionName=name, Payload=b'"hang"', InvocationType="Event")
    processes = descendants(emulator.process.pid)
    assert len(left) == 6
    assert left < processes
    emulator.stop(how)
    until(lambda: not any(map(is_running, processes)))
