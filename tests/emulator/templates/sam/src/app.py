import json
import os

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])


def authorize(event, context):
    token = event["queryStringParameters"]["token"]
    effect = "Allow" if token.startswith("friend-") else "Deny"
    return {
        "principalId": token,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}],
        },
        "context": {"name": token.removeprefix("friend-")},
    }


def connect(event, context):
    table.put_item(
        Item={
            "connectionId": event["requestContext"]["connectionId"],
            "name": event["requestContext"]["authorizer"]["name"],
        }
    )
    return {"statusCode": 200}


def disconnect(event, context):
    table.delete_item(Key={"connectionId": event["requestContext"]["connectionId"]})
    return {"statusCode": 200}


def send_message(event, context):
    endpoint = "https://" + event["requestContext"]["domainName"] + "/" + event["requestContext"]["stage"]
    gatewayapi = boto3.client("apigatewaymanagementapi", endpoint_url=endpoint)
    data = {"from": event["requestContext"]["authorizer"]["name"], "text": json.loads(event["body"])["data"]}
    for item in table.scan()["Items"]:
        try:
            gatewayapi.post_to_connection(ConnectionId=item["connectionId"], Data=json.dumps(data))
        except gatewayapi.exceptions.GoneException:
            table.delete_item(Key={"connectionId": item["connectionId"]})
    return {"statusCode": 200, "body": "Data sent."}


def who_am_i(event, context):
    return {"statusCode": 200, "body": event["requestContext"]["authorizer"]["name"]}
