"""A project whose functions note in a table what they do, for tests of what remains of a test."""

from __future__ import annotations

from pathlib import Path

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    CodeUri: .
    Timeout: 600
    Environment: {Variables: {TABLE: !Ref Rows}}
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: live
      RouteSelectionExpression: $request.body.action
      Routes:
        $connect: {FunctionArn: !GetAtt Gate.Arn}
        $disconnect: {FunctionArn: !GetAtt Gate.Arn}
        $default: {FunctionArn: !GetAtt Gate.Arn}
  Gate: {Type: AWS::Serverless::Function, Properties: {Handler: app.gate}}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.work
      Events: {Jobs: {Type: SQS, Properties: {Queue: !GetAtt Jobs.Arn}}}
  Failing: {Type: AWS::Serverless::Function, Properties: {Handler: app.fail}}
  Jobs: {Type: AWS::SQS::Queue, Properties: {QueueName: jobs, VisibilityTimeout: 3600}}
  Kept: {Type: AWS::SQS::Queue, Properties: {QueueName: kept}}
  Setting: {Type: AWS::SSM::Parameter, Properties: {Name: /setting, Type: String, Value: as deployed}}
  Key: {Type: AWS::SecretsManager::Secret, Properties: {Name: key, GenerateSecretString: {PasswordLength: 40}}}
  Rows:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: rows
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      TimeToLiveSpecification: {AttributeName: expiresAt, Enabled: true}
"""

HANDLERS = """
import json, os, time
import boto3
from botocore.config import Config

once = Config(retries={"total_max_attempts": 1}, read_timeout=600)
dynamodb = boto3.client("dynamodb", config=once)
management = boto3.client("apigatewaymanagementapi", config=once)
heard = 0

def note(row):
    dynamodb.update_item(
        TableName=os.environ["TABLE"], Key={"id": {"S": row}}, UpdateExpression="ADD times :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )

def gate(event, context):
    global heard
    heard += 1
    told = event["requestContext"]
    note(told["eventType"])
    if event.get("body") == "hang":
        note("hangs")
        time.sleep(600)
    elif event.get("body") == "late":
        note("delayed")
    elif told["eventType"] == "MESSAGE":
        answer = {"heard": heard, "at": told["requestTimeEpoch"], "said": event["body"]}
        management.post_to_connection(ConnectionId=told["connectionId"], Data=json.dumps(answer))
    return {"statusCode": 200}

def work(event, context):
    note("work")

def fail(event, context):
    note("fails")
    raise ValueError("as asked")
"""


def make(folder: Path) -> Path:
    """Write the project into a folder. Return its template."""
    (folder / "app.py").write_text(HANDLERS)
    template = folder / "template.yaml"
    template.write_text(TEMPLATE)
    return template
