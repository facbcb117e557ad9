import json
import os

import boto3

connections = boto3.client("dynamodb")
TABLE = os.environ["TABLE_NAME"]


def authorizer(event, context):
    if event["headers"].get("Authorization") != "Basic let-me-in":
        raise Exception("Unauthorized")
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*"}
    return {"principalId": "cdk-user", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


def on_connect(event, context):
    item = {"pk": {"S": event["requestContext"]["connectionId"]}}
    connections.put_item(TableName=TABLE, Item=item)
    return {"statusCode": 200}


def on_disconnect(event, context):
    connections.delete_item(TableName=TABLE, Key={"pk": {"S": event["requestContext"]["connectionId"]}})
    return {}


def on_default(event, context):
    request = event["requestContext"]
    management = boto3.client(
        "apigatewaymanagementapi", endpoint_url=f"https://{request['domainName']}/{request['stage']}"
    )
    count = connections.scan(TableName=TABLE, Select="COUNT")["Count"]
    reply = {"you": request["authorizer"]["principalId"], "connections": count, "said": event["body"]}
    management.post_to_connection(ConnectionId=request["connectionId"], Data=json.dumps(reply).encode("utf-8"))
    return {"statusCode": 200}
