import json
import os

import boto3

sqs = boto3.client("sqs")


def handler(event, context):
    sqs.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=event["body"])
    received = sqs.receive_message(QueueUrl=os.environ["QUEUE_URL"], WaitTimeSeconds=1)["Messages"][0]
    sqs.delete_message(QueueUrl=os.environ["QUEUE_URL"], ReceiptHandle=received["ReceiptHandle"])
    gateway = boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["URL"])
    gateway.post_to_connection(
        ConnectionId=event["requestContext"]["connectionId"], Data=json.dumps({"queued": received["Body"]})
    )
