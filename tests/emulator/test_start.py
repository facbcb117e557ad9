"""The start of the emulator: what functions find while their modules are imported."""

import json

import pytest

from tests.support.devices import Emulator

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Reader:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: .
      Handler: app.tell
      Environment: {Variables: {TABLE: !Ref Rows}}
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: live
      RouteSelectionExpression: $request.body.action
      Routes: {$default: {FunctionArn: !GetAtt Reader.Arn}}
  Setting: {Type: AWS::SSM::Parameter, Properties: {Name: /setting, Type: String, Value: a value}}
  Waiting: {Type: AWS::SQS::Queue, Properties: {QueueName: waiting}}
  Rows:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
"""

HANDLER = """
import os
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

once = Config(retries={"total_max_attempts": 1}, read_timeout=300)

def outcome(service, method, **arguments):
    try:
        getattr(boto3.client(service, config=once), method)(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    except BotoCoreError as error:
        return type(error).__name__
    return "answered"

found = {
    "parameter": outcome("ssm", "get_parameter", Name="/setting"),
    "no parameter": outcome("ssm", "get_parameter", Name="/no/such/setting"),
    "queue": outcome("sqs", "get_queue_url", QueueName="waiting"),
    "table": outcome("dynamodb", "get_item", TableName=os.environ["TABLE"], Key={"id": {"S": "row"}}),
    "connection": outcome("apigatewaymanagementapi", "get_connection", ConnectionId="L0SM9cOFvHcCIhw="),
}

def tell(event, context):
    return found
"""


@pytest.mark.parametrize("functions", ["process", "inline"])
def test_a_module_finds_every_service_while_it_is_imported(tmp_path, functions):
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "app.py").write_text(HANDLER)
    template = str(tmp_path / "template.yaml")
    emulator = Emulator(PARLEY_TEMPLATE=template, PARLEY_FUNCTIONS=functions, PARLEY_USERS="")
    try:
        answer = emulator.client("lambda").invoke(FunctionName="Reader")
        assert json.load(answer["Payload"]) == {
            "parameter": "answered",
            "no parameter": "ParameterNotFound",
            "queue": "answered",
            "table": "answered",
            "connection": "GoneException",
        }
    finally:
        emulator.stop()
