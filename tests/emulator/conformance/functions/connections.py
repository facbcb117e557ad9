"""Calls of the @connections API, and what they come to, as plain values."""

import os
from datetime import datetime
from functools import cache
from urllib.parse import quote

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

CONFIG = Config(retries={"total_max_attempts": 1})


@cache
def client(url):
    return boto3.client("apigatewaymanagementapi", endpoint_url=url, config=CONFIG)


def endpoint(event, stage=None):
    """Return the URL of the event's own API, as the documentation tells to make it."""
    context = event["requestContext"]
    return f"https://{context['domainName']}/{stage or context['stage']}"


def post(event, data):
    """Post to the event's own connection. Raises `ClientError`."""
    client(endpoint(event)).post_to_connection(ConnectionId=event["requestContext"]["connectionId"], Data=data)


def call(event, order):
    """Do what a test asks for, with boto3, and return the outcome; `exception` is the name of boto3's type."""
    management = client(endpoint(event, order.get("stage")))
    name = order["connectionId"]
    try:
        match order["method"]:
            case "POST":
                answer = management.post_to_connection(ConnectionId=name, Data=data_of(order))
            case "GET":
                answer = management.get_connection(ConnectionId=name)
            case "DELETE":
                answer = management.delete_connection(ConnectionId=name)
    except ClientError as error:
        return outcome(error.response) | {"exception": type(error).__name__, "code": error.response["Error"]["Code"]}
    return outcome(answer)


def outcome(answer):
    values = {name: value for name, value in answer.items() if name not in ("ResponseMetadata", "Error")}
    return {"status": answer["ResponseMetadata"]["HTTPStatusCode"], "answer": plain(values)}


def plain(value):
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return {"datetime": value.isoformat()} if isinstance(value, datetime) else value


def send(event, order):
    """Send a request as it is, signed unless the test wants it unsigned; return status, headers and body."""
    url = f"{endpoint(event, order.get('stage'))}/@connections/{quote(order['connectionId'], safe='')}"
    request = AWSRequest(order["method"], url, data=data_of(order))
    if not order.get("unsigned"):
        session = boto3.Session()
        SigV4Auth(session.get_credentials(), "execute-api", session.region_name).add_auth(request)
    answer = URLLib3Session(verify=os.environ.get("AWS_CA_BUNDLE", True)).send(request.prepare())
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return {"status": answer.status_code, "headers": headers, "body": answer.text}


def data_of(order):
    """Return the data of a post: so many bytes, or these ones."""
    return b"x" * order["bytes"] if "bytes" in order else bytes.fromhex(order.get("hex", "78"))
