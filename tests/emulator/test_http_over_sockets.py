"""An HTTP API as a client sees it, with a handler that misbehaves."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.support.devices import Emulator
from tests.support.waiting import HANGS

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {CodeUri: ., Timeout: 10}
Resources:
  Web:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.web
      Events:
        One: {Type: HttpApi, Properties: {Method: GET, Path: "/things/{id}"}}
        All: {Type: HttpApi, Properties: {Method: POST, Path: "/files/{path+}"}}
"""

HANDLERS = """
import json

def web(event, context):
    thing = event["pathParameters"].get("id")
    if thing == "raise":
        raise RuntimeError("no")
    answers = {
        "garbage": {"statusCode": "many"},
        "binary": {"statusCode": 201, "isBase64Encoded": True, "body": "//4="},
        "plain": ["just", "JSON"],
    }
    seen = {"route": event["routeKey"], "parameters": event["pathParameters"], "body": event.get("body")}
    return answers.get(thing, {"statusCode": 200, "headers": {"x-colour": "red"}, "body": json.dumps(seen)})
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory) -> Iterator[Emulator]:
    folder = tmp_path_factory.mktemp("http")
    (folder / "template.yaml").write_text(TEMPLATE)
    (folder / "app.py").write_text(HANDLERS)
    emulator = Emulator(PARLEY_TEMPLATE=str(folder / "template.yaml"), PARLEY_USERS="")
    yield emulator
    emulator.stop()


def call(emulator, path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{emulator.port}{path}", data=body)
    try:
        with urllib.request.urlopen(request, timeout=HANGS) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def test_routes_have_parameters(emulator):
    status, body, headers = call(emulator, "/things/5")
    seen = {"route": "GET /things/{id}", "parameters": {"id": "5"}, "body": None}
    assert (status, json.loads(body), headers["x-colour"]) == (200, seen, "red")
    status, body, _ = call(emulator, "/files/a/b.txt", b"hello")
    seen = {"route": "POST /files/{path+}", "parameters": {"path": "a/b.txt"}, "body": "aGVsbG8="}
    assert (status, json.loads(body)) == (200, seen)


@pytest.mark.parametrize("thing", ["raise", "garbage"])
def test_an_exception_or_garbage_is_a_500(emulator, thing):
    status, body, _ = call(emulator, f"/things/{thing}")
    assert (status, json.loads(body)) == (500, {"message": "Internal Server Error"})


def test_answers_may_be_binary_or_plain_json(emulator):
    assert call(emulator, "/things/binary")[:2] == (201, b"\xff\xfe")
    assert json.loads(call(emulator, "/things/plain")[1]) == ["just", "JSON"]


@pytest.mark.parametrize("path", ["/", "/things", "/things/5/more", "/files/"])
def test_without_a_route_there_is_nothing(emulator, path):
    status, body, _ = call(emulator, path)
    assert (status, json.loads(body)) == (404, {"message": "Not Found"})
