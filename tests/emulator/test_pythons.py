"""Projects in Python as a user starts them: functions have the packages that they have on AWS, and no others."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import pytest
from parley.emulator import packages

from tests.support.devices import Emulator
from tests.support.plain_client import PlainClient
from tests.support.pythons import OWN, python
from tests.support.waiting import until

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: live
      RouteSelectionExpression: $request.body.action
      Routes:
        rich: {FunctionArn: !GetAtt Rich.Arn, RouteResponseSelectionExpression: $default}
        plain: {FunctionArn: !GetAtt Plain.Arn, RouteResponseSelectionExpression: $default}
"""
FUNCTION = """
  %s:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python%d.%d
      Handler: index.handler
      InlineCode: |
"""
POSTING = """
import boto3, sys
def handler(event, context):
    context_ = event["requestContext"]
    api = boto3.client("apigatewaymanagementapi", endpoint_url=f"https://{context_['domainName']}/{context_['stage']}")
    api.post_to_connection(ConnectionId=context_["connectionId"], Data="%d.%d" % sys.version_info[:2])
"""
RICH = f"import rich{POSTING}"


def project(folder: Path, version: tuple[int, int]) -> Path:
    """Write a template with functions of this version of Python. Return its file."""
    functions = {"Rich": RICH, "Plain": POSTING}
    parts = [FUNCTION % (name, *version) + indent(code, " " * 8) for name, code in functions.items()]
    file = folder / "template.yaml"
    file.write_text(TEMPLATE + "".join(parts))
    return file


@pytest.fixture(scope="module", params=[OWN, (3, 12), (3, 9)], ids=["forked", "another", "an old one"])
def emulator(request, tmp_path_factory) -> Iterator[Emulator]:
    interpreter = python(request.param)
    if request.param < packages.oldest_python():
        try:
            packages.sdk(interpreter.path, request.param, os.environ)
        except packages.NotInstallable as error:
            pytest.skip(f"boto3 cannot be installed for an old Python: {error}")
    file = project(tmp_path_factory.mktemp("project"), request.param)
    pyenv = {name: os.environ[name] for name in ("PYENV_ROOT",) if name in os.environ}
    emulator = Emulator(PARLEY_TEMPLATE=str(file), PARLEY_PYTHON="", **pyenv)
    emulator.version = request.param
    yield emulator
    emulator.stop()


def test_a_function_runs_in_the_python_of_its_runtime_and_posts_with_the_sdk(emulator):
    assert PlainClient(emulator, "/live").ask('{"action": "plain"}') == "{}.{}".format(*emulator.version)


def test_a_package_of_the_emulators_is_missing_as_on_aws_and_the_start_says_so(emulator):
    assert "rich" in {each.name for each in Path(sys.prefix).glob("lib/python*/site-packages/rich")}
    answer = json.loads(PlainClient(emulator, "/live").ask('{"action": "rich"}'))
    assert answer["message"] == "Internal server error"
    # Functions are tried one after the other, after the start: a message may come first.
    until(lambda: any("Function Rich does not start" in line for line in emulator.output))
    assert any("Function Rich does not start" in line and "No module named 'rich'" in line for line in emulator.output)
