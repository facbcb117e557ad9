import boto3
import requests
import urllib3


def handler(event, context):
    context = event["requestContext"]
    management = boto3.client(
        "apigatewaymanagementapi", endpoint_url=f"https://{context['domainName']}/{context['stage']}"
    )
    text = f"requests {requests.__version__}, urllib3 {urllib3.__version__}"
    management.post_to_connection(ConnectionId=context["connectionId"], Data=text.encode())
    return {"statusCode": 200}
