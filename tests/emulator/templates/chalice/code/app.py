"""Handlers that compose the endpoint from ids, as Chalice's client of a WebSocket API does."""

import os

import boto3


class Socket:
    def __init__(self, event):
        context = event["requestContext"]
        host = f"{context['apiId']}.execute-api.{os.environ['AWS_REGION']}.amazonaws.com"
        self.connection_id = context["connectionId"]
        self._client = boto3.client("apigatewaymanagementapi", endpoint_url=f"https://{host}/{context['stage']}")

    def send(self, text):
        self._client.post_to_connection(ConnectionId=self.connection_id, Data=text)


def connect(event, context):
    return {"statusCode": 200}


def message(event, context):
    Socket(event).send(f"said {event['body']}")
    return {"statusCode": 200}


def disconnect(event, context):
    return {"statusCode": 200}
