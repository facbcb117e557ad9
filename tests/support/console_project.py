"""A small project to look into with the console: users with connections, a worker, a table with ends, queues."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.devices import Emulator
from tests.support.plain_client import PlainClient
from tests.support.waiting import HANGS

HOSTILE = "<img src=x onerror=\"window.hacked='yes'\"><script>window.hacked='yes'</script>"
"""A text that would run in a page that takes it for HTML."""

GONE = "goneeeeeeeeeeee="

TEMPLATE = """
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: live
      RouteSelectionExpression: $request.body.action
      Routes:
        $connect: {FunctionArn: !GetAtt Chat.Arn}
        $default: {FunctionArn: !GetAtt Chat.Arn}
  Chat:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      Policies: [Statement: [{Effect: Allow, Action: "*", Resource: "*"}]]
      Environment: {Variables: {CONNECTIONS: !Ref Connections, NOTES: !Ref Notes, QUEUE: !Ref Jobs}}
      InlineCode: |
        import json, os, time, boto3
        tables, queue = boto3.resource("dynamodb"), boto3.client("sqs")
        connections, notes = (tables.Table(os.environ[name]) for name in ("CONNECTIONS", "NOTES"))

        def handler(event, context):
            if "number" in event:
                return {"doubled": event["number"] * 2}
            request = event["requestContext"]
            connection = request["connectionId"]
            if request["eventType"] == "CONNECT":
                user = event["queryStringParameters"]["user"]
                connections.put_item(Item={"connectionId": connection, "userId": user})
                return {"statusCode": 200}
            message = json.loads(event["body"])
            print(json.dumps({"level": "INFO", "message": "working", "text": message.get("text", "")}))
            if message["action"].startswith("note"):
                notes.put_item(Item={"id": message["text"], "ends": int(time.time()) + 3600})
            if message["action"].startswith("queue"):
                queue.send_message(QueueUrl=os.environ["QUEUE"], MessageBody=message["text"])
            if message["action"].startswith("fail"):
                raise ValueError(message["text"])
            url = f"https://{request['domainName']}/{request['stage']}"
            client = boto3.client("apigatewaymanagementapi", endpoint_url=url)
            try:
                client.post_to_connection(ConnectionId=message.get("to", connection), Data=json.dumps(message))
            except client.exceptions.GoneException:
                pass
            return {"statusCode": 200}
  Connections:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: connectionId, AttributeType: S}]
      KeySchema: [{AttributeName: connectionId, KeyType: HASH}]
  Notes:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      TimeToLiveSpecification: {AttributeName: ends, Enabled: true}
  Jobs:
    Type: AWS::SQS::Queue
    Properties:
      RedrivePolicy: {deadLetterTargetArn: !GetAtt DeadJobs.Arn, maxReceiveCount: 3}
  DeadJobs: {Type: AWS::SQS::Queue}
"""


class ConsoleProject(Emulator):
    """A running emulator of the project, which records payloads.

    The beginning of an action says what it does, so that each test can have actions of its own.
    """

    def __init__(self, folder: Path) -> None:
        (folder / "template.yaml").write_text(TEMPLATE)
        super().__init__(PARLEY_TEMPLATE=str(folder / "template.yaml"), PARLEY_RECORD="1", PARLEY_USERS="")
        self.console = f"{self.url}/_parley/"
        self._clients: list[PlainClient] = []

    def stop(self) -> None:
        """End the emulator and its clients."""
        for client in self._clients:
            client.socket.close()
        super().stop()

    def client(self, user: str) -> PlainClient:  # type: ignore[override]
        """Connect as a user."""
        self._clients.append(PlainClient(self, f"/live?user={user}"))
        return self._clients[-1]

    def own(self, method: str, path: str, content: object = None) -> Any:
        """Return the answer of the emulator's own API."""
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.console}{path}", body, method=method)
        with urllib.request.urlopen(request, timeout=HANGS) as response:
            return json.load(response)
