"""A project in Python as a user starts it: its functions have the packages that they have on AWS, and no others."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from tests.support.devices import Emulator
from tests.support.plain_client import PlainClient
from tests.support.pythons import python

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: live
      RouteSelectionExpression: $request.body.action
      Routes:
        old: {FunctionArn: !GetAtt Old.Arn, RouteResponseSelectionExpression: $default}
        rich: {FunctionArn: !GetAtt Rich.Arn, RouteResponseSelectionExpression: $default}
        plain: {FunctionArn: !GetAtt Plain.Arn, RouteResponseSelectionExpression: $default}
  Old:
    Type: AWS::Serverless::Function
    Properties: {Runtime: python3.9, Handler: index.handler, InlineCode: "%(old)s"}
  Rich:
    Type: AWS::Serverless::Function
    Properties: {Runtime: python3.11, Handler: index.handler, InlineCode: "%(rich)s"}
  Plain:
    Type: AWS::Serverless::Function
    Properties: {Runtime: python3.11, Handler: index.handler, InlineCode: "%(plain)s"}
"""
PROGRAM = "import sys{}\\ndef handler(event, context): return {{'body': '%d.%d' % sys.version_info[:2]}}"
CODE = {name: PROGRAM.format(more) for name, more in {"old": "", "rich": ", rich", "plain": ", boto3"}.items()}


@pytest.fixture(scope="module")
def emulator(tmp_path_factory) -> Iterator[Emulator]:
    for version in ((3, 9), (3, 11)):
        python(version)
    project = tmp_path_factory.mktemp("project")
    (project / "template.yaml").write_text(TEMPLATE % CODE)
    pyenv = {name: os.environ[name] for name in ("PYENV_ROOT",) if name in os.environ}
    emulator = Emulator(PARLEY_TEMPLATE=str(project / "template.yaml"), PARLEY_PYTHON="", **pyenv)
    yield emulator
    emulator.stop()


def test_each_function_runs_in_the_python_of_its_runtime_with_the_sdk(emulator):
    client = PlainClient(emulator, "/live")
    assert [client.ask(json.dumps({"action": action})) for action in ("old", "plain")] == ["3.9", "3.11"]


def test_a_package_of_the_emulators_is_missing_as_on_aws_and_the_start_says_so(emulator):
    answer = json.loads(PlainClient(emulator, "/live").ask('{"action": "rich"}'))
    assert answer["message"] == "Internal server error"
    assert any("Function Rich does not start" in line and "No module named 'rich'" in line for line in emulator.output)
