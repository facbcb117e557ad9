import os

import boto3


def authorize(event, context):
    is_safe = event["headers"]["X-Forwarded-Proto"] == "https"
    statement = {
        "Action": "execute-api:Invoke",
        "Effect": "Allow" if is_safe else "Deny",
        "Resource": event["methodArn"],
    }
    return {"policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


def connect(event, context):
    return {}


def wrapped(event, context):
    """Return what is meant for PostToConnection."""
    return {"statusCode": 200, "ConnectionId": event["requestContext"]["connectionId"], "Data": "hello"}


def public(event, context):
    client = boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["CHAT_URL"])
    client.post_to_connection(ConnectionId=event["requestContext"]["connectionId"], Data="by the domain name")
    return {"statusCode": 200}
