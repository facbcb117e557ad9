"""An emulator with a fault plan, functions that make calls, and rows that tell what was done."""

import json
import urllib.error
import urllib.request
from pathlib import Path

from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.support.devices import Emulator
from tests.support.waiting import HANGS

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    CodeUri: .
    Timeout: 20
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
  Worker: {Type: AWS::Serverless::Function, Properties: {Handler: app.work}}
  Caller: {Type: AWS::Serverless::Function, Properties: {Handler: app.call}}
  OneSecond: {Type: AWS::Serverless::Function, Properties: {Handler: app.call, Timeout: 1}}
  Rows:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
"""


HANDLERS = """
import json, os
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

once = Config(retries={"total_max_attempts": 1})
clients = {name: boto3.client(name, config=once) for name in ("dynamodb", "lambda", "apigatewaymanagementapi")}

def note(row, request_id):
    clients["dynamodb"].update_item(
        TableName=os.environ["TABLE"], Key={"id": {"S": row}}, UpdateExpression="ADD runs :one, requests :request",
        ExpressionAttributeValues={":one": {"N": "1"}, ":request": {"SS": [request_id]}},
    )

def gate(event, context):
    connection = event["requestContext"]["connectionId"]
    note(f"{event['requestContext']['eventType']} {connection}", context.aws_request_id)
    if event.get("body") == "who":
        clients["apigatewaymanagementapi"].post_to_connection(ConnectionId=connection, Data=connection)
    return {"statusCode": 403 if "refuse" in (event.get("queryStringParameters") or {}) else 200}

def work(event, context):
    note(event["row"], context.aws_request_id)

def call(event, context):
    try:
        getattr(clients[event["service"]], event["method"])(**event["arguments"])
        return "answered"
    except ClientError as error:
        return error.response["Error"]["Code"]
    except BotoCoreError as error:
        return type(error).__name__
"""


ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=HANGS)


class FaultyEmulator(Emulator):
    """An emulator with a fault plan, and what tests ask of it. Rows tell what the functions have done."""

    def __init__(self, folder: Path, plan: object, **variables: str) -> None:
        (folder / "template.yaml").write_text(TEMPLATE)
        (folder / "app.py").write_text(HANDLERS)
        (folder / "faults.json").write_text(json.dumps(plan))
        files = {"PARLEY_TEMPLATE": str(folder / "template.yaml"), "PARLEY_FAULTS": str(folder / "faults.json")}
        super().__init__(**files, **variables, PARLEY_USERS="", PARLEY_RETRY_DELAY="0.05")
        self.dynamodb = self.client("dynamodb", config=ONCE)
        self.lambda_ = self.client("lambda", config=ONCE)
        self.management = self.client("apigatewaymanagementapi", config=ONCE)

    def request(self, method: str, path: str, content: object = None) -> tuple[int, dict]:
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.url}{path}", body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=HANGS) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def plan(self, *faults: dict) -> None:
        status, answer = self.request("PUT", "/_parley/faults", {"faults": list(faults)})
        assert status == 200, answer

    def hits(self) -> list[int]:
        return [fault["hits"] for fault in self.request("GET", "/_parley/faults")[1]["faults"]]

    def invoke(self, function: str, **event: object) -> object:
        """Return the answer of a function, or the type of its error."""
        answer = self.lambda_.invoke(FunctionName=function, Payload=json.dumps(event))
        payload = json.load(answer["Payload"])
        return payload["errorType"] if "FunctionError" in answer else payload

    def send_event(self, row: str) -> int:
        payload = json.dumps({"row": row})
        return self.lambda_.invoke(FunctionName="Worker", InvocationType="Event", Payload=payload)["StatusCode"]

    def row(self, name: str) -> dict:
        return self.dynamodb.get_item(TableName="Rows", Key={"id": {"S": name}}, ConsistentRead=True).get("Item", {})

    def runs(self, row: str) -> int:
        return int(self.row(row).get("runs", {"N": "0"})["N"])

    def model(self) -> dict:
        return self.request("GET", "/_parley/model")[1]


def connection_id(device):
    device.socket.send("who")
    return device.socket.recv(HANGS)


def outcome(call, **arguments):
    """Return the result of a call: `answered`, the code of its error, or `cut` for an error below HTTP."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    except ConnectionClosedError:
        return "cut"
    return "answered"


def put(row):
    return {"TableName": "Rows", "Item": {"id": {"S": row}, "runs": {"N": "1"}}}
