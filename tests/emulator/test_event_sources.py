"""Everything that invokes a function beside WebSockets, on a running emulator."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.support.devices import PARLEY, ROOT, Emulator
from tests.support.plain_client import PlainClient
from tests.support.waiting import HANGS, until

TEMPLATE = Path(__file__).parent / "templates" / "events" / "template.yaml"


@pytest.fixture(scope="module")
def emulator():
    emulator = Emulator(PARLEY_TEMPLATE=str(TEMPLATE), PARLEY_ENV="Keep.GIVEN=1", STAGE="of the shell")
    yield emulator
    emulator.stop()


def seen(emulator, kind):
    """Return the event of a kind that the function has kept, as soon as there is one."""
    table = emulator.client("dynamodb")
    key = {"kind": {"S": kind}}
    until(lambda: "Item" in table.get_item(TableName="Seen", Key=key))
    return json.loads(table.get_item(TableName="Seen", Key=key)["Item"]["event"]["S"])


def cause(emulator, name):
    payload = json.dumps({"cause": name}).encode()
    answer = emulator.client("lambda").invoke(FunctionName="Keep", Payload=payload)
    assert "FunctionError" not in answer, answer["Payload"].read()
    return json.loads(answer["Payload"].read())


def get(url):
    with urllib.request.urlopen(url, timeout=HANGS) as answer:
        return answer.status, json.loads(answer.read())


def parley(emulator, *arguments):
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PORT": str(emulator.port)}
    command = {"cwd": ROOT, "env": environment, "capture_output": True, "text": True}
    return subprocess.run([PARLEY, *arguments], **command, timeout=HANGS, check=False)


def test_a_rest_api(emulator):
    status, variables = get(f"{emulator.url}/Prod/pages/home")
    assert (status, variables["STAGE"], variables["GIVEN"]) == (200, "dev", "1")
    assert seen(emulator, "rest")["pathParameters"] == {"name": "home"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(f"{emulator.url}/Prod/elsewhere")
    assert refused.value.code == 403


def test_a_function_url(emulator):
    status, variables = get(f"{emulator.url}/KeepUrl/a")
    assert status == 200
    assert variables["OWN_URL"] == f"https://127.0.0.1:{emulator.port}/KeepUrl/"
    assert seen(emulator, "url")["rawPath"] == "/a"


def test_a_schedule(emulator):
    listed = parley(emulator, "trigger").stdout.split("\t")
    assert listed[:2] == ["KeepNightly", "cron(0 3 * * ? *)"]
    assert listed[2].startswith("next 2")
    assert parley(emulator, "trigger", "Nightly").stdout == "Sent to Keep.\n"
    assert seen(emulator, "aws.events")["detail-type"] == "Scheduled Event"
    failed = parley(emulator, "trigger", "Daily")
    assert (failed.returncode, failed.stderr) == (
        1,
        "parley: No schedule has the name Daily. There are KeepNightly.\n",
    )


def test_a_topic(emulator):
    cause(emulator, "publish")
    assert seen(emulator, "aws:sns")["Records"][0]["Sns"]["Message"] == "hi"


def test_a_rule(emulator):
    assert cause(emulator, "put_events") == 0
    assert seen(emulator, "shop")["detail"] == {"id": 1}


def test_a_bucket(emulator):
    cause(emulator, "upload")
    assert seen(emulator, "aws:s3")["Records"][0]["s3"]["object"]["key"] == "a/b.txt"


def test_a_tables_changes(emulator):
    if "Dynoxide" not in "".join(emulator.output):
        pytest.skip("moto's tables have no streams here")
    cause(emulator, "change")
    [record] = seen(emulator, "aws:dynamodb")["Records"]
    assert record["dynamodb"]["NewImage"] == {"id": {"S": "1"}}


def test_no_permission_is_missing_for_what_lambda_itself_does(emulator):
    purposes = [line for line in emulator.output if "event source" in line]
    assert purposes == []


PACKAGED = {
    "Resources": {
        "ServerlessDeploymentBucket": {"Type": "AWS::S3::Bucket"},
        "EchoLambdaFunction": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Code": {
                    "S3Bucket": {"Ref": "ServerlessDeploymentBucket"},
                    "S3Key": "serverless/shop/dev/1700000000000-2023-11-14T22:13:20.000Z/shop.zip",
                },
                "FunctionName": "shop-dev-echo",
                "Handler": "src/echo.handler",
                "Runtime": "python3.12",
            },
        },
        "WebsocketsApi": {
            "Type": "AWS::ApiGatewayV2::Api",
            "Properties": {"ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action"},
        },
        "Integration": {
            "Type": "AWS::ApiGatewayV2::Integration",
            "Properties": {
                "ApiId": {"Ref": "WebsocketsApi"},
                "IntegrationType": "AWS_PROXY",
                "IntegrationUri": {
                    "Fn::Join": [
                        "",
                        [
                            "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/",
                            {"Fn::GetAtt": ["EchoLambdaFunction", "Arn"]},
                            "/invocations",
                        ],
                    ]
                },
            },
        },
        "Default": {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": {
                "ApiId": {"Ref": "WebsocketsApi"},
                "RouteKey": "$default",
                "RouteResponseSelectionExpression": "$default",
                "Target": {"Fn::Join": ["/", ["integrations", {"Ref": "Integration"}]]},
            },
        },
        "Answer": {
            "Type": "AWS::ApiGatewayV2::RouteResponse",
            "Properties": {
                "ApiId": {"Ref": "WebsocketsApi"},
                "RouteId": {"Ref": "Default"},
                "RouteResponseKey": "$default",
            },
        },
        "Stage": {
            "Type": "AWS::ApiGatewayV2::Stage",
            "Properties": {"ApiId": {"Ref": "WebsocketsApi"}, "StageName": "dev"},
        },
    }
}
"""A template as the Serverless Framework packages it: the code is in S3, and the zip lies beside it."""


def test_a_packaged_project_runs_as_it_is(tmp_path):
    folder = tmp_path / ".serverless"
    folder.mkdir()
    (tmp_path / "serverless.yml").write_text("service: shop\n")
    (folder / "cloudformation-template-update-stack.json").write_text(json.dumps(PACKAGED))
    with zipfile.ZipFile(folder / "shop.zip", "w") as package:
        package.writestr(
            "src/echo.py", "def handler(event, context):\n    return {'statusCode': 200, 'body': event['body']}\n"
        )
    emulator = Emulator(PARLEY_TEMPLATE=str(tmp_path))
    try:
        assert PlainClient(emulator, "/dev").ask("hello") == "hello"
        [found] = [line.split()[1] for line in emulator.output if line.startswith("  Template ")]
        assert found == str(folder / "cloudformation-template-update-stack.json")
    finally:
        emulator.stop()
