import boto3

gateway = boto3.client("apigatewaymanagementapi")


def echo(event, context):
    connection_id = event["requestContext"]["connectionId"]
    gateway.post_to_connection(ConnectionId=connection_id, Data=event["body"].encode())
    return {"statusCode": 200}
