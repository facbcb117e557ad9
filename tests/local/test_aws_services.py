"""SQS, SSM and Secrets Manager as unmodified boto3 clients see them, and the error for other services."""

from __future__ import annotations

import asyncio
from functools import partial
from threading import Lock

import boto3
import pytest
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError
from parley.asgi import read_body
from parley.aws_services import AwsServices
from parley.gateway.events import decode_headers
from parley.template.model import Parameter, Queue
from parley.trace import Trace

from tests.support.devices import free_port
from tests.support.kept_objects import kept, tracked_by_moto

DEAD = "arn:aws:sqs:us-east-1:000000000000:dead"
QUEUES = (Queue("dead"), Queue("work", {"RedrivePolicy": f'{{"deadLetterTargetArn": "{DEAD}", "maxReceiveCount": 1}}'}))


@pytest.fixture
async def services():
    """The services behind HTTP, with queues and a parameter; `client(service)` is a boto3 client."""
    port = free_port()
    services = AwsServices(f"http://127.0.0.1:{port}/aws", Trace(), Lock())

    async def app(scope, receive, send):
        headers = dict(decode_headers(scope["headers"]))
        service = scope["path"].removeprefix("/aws").strip("/").partition("/")[0]
        await (await services.answer(service, scope["method"], headers, await read_body(receive))).send(send)

    server = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
        await asyncio.sleep(0.01)
    await services.provision(QUEUES, (Parameter("/a/b", "value"),))
    yield services
    server.should_exit = True
    await serving


def client(services, service, path=None):
    keys = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "any")
    endpoint = f"{services.url}{'/' + service if path is None else path}"
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", config=config, **keys)


async def call(method, **arguments):
    return await asyncio.to_thread(partial(method, **arguments))


async def test_a_queue_takes_messages_by_the_url_that_ref_gives(services):
    sqs = client(services, "sqs")
    url = "https://sqs.us-east-1.amazonaws.com/000000000000/work"
    await call(sqs.send_message, QueueUrl=url, MessageBody="hello")
    [message] = (await call(sqs.receive_message, QueueUrl=url))["Messages"]
    assert message["Body"] == "hello"
    await call(sqs.delete_message, QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


async def test_a_queues_url_leads_here(services):
    sqs = client(services, "sqs")
    found = (await call(sqs.get_queue_url, QueueName="work"))["QueueUrl"]
    assert found == f"{services.url}/sqs/000000000000/work"
    await call(sqs.send_message, QueueUrl=found, MessageBody="again")


async def test_messages_of_the_emulator_have_their_attributes(services):
    await services.send(DEAD, "lost", {"RequestID": "7", "ErrorMessage": ""})
    sqs = client(services, "sqs")
    url = (await call(sqs.get_queue_url, QueueName="dead"))["QueueUrl"]
    [message] = (await call(sqs.receive_message, QueueUrl=url, MessageAttributeNames=["All"]))["Messages"]
    assert message["Body"] == "lost"
    assert message["MessageAttributes"]["RequestID"] == {"StringValue": "7", "DataType": "String"}


async def test_a_parameter_and_a_secret(services):
    ssm, secrets = client(services, "ssm"), client(services, "secretsmanager")
    assert (await call(ssm.get_parameter, Name="/a/b"))["Parameter"]["Value"] == "value"
    await call(secrets.create_secret, Name="s", SecretString="hidden")
    assert (await call(secrets.get_secret_value, SecretId="s"))["SecretString"] == "hidden"


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("s3", "list_buckets", {}),
        ("events", "list_rules", {}),
        ("sns", "list_topics", {}),
        ("kinesis", "list_streams", {}),
    ],
)
async def test_a_service_that_is_not_here_says_what_to_set(services, service, operation, arguments):
    absent = client(services, service, "")
    with pytest.raises(ClientError, match=f"AWS_ENDPOINT_URL_{service.upper()}") as failed:
        await call(getattr(absent, operation), **arguments)
    assert failed.value.response["Error"]["Code"] == "NotInEmulator"


async def test_nothing_is_kept_of_a_message_that_was_deleted(services):
    """moto keeps every object that it has ever made, unless its lists are emptied."""
    sqs = client(services, "sqs")
    url = (await call(sqs.get_queue_url, QueueName="work"))["QueueUrl"]
    counts = []
    for _ in range(3):
        await call(sqs.send_message, QueueUrl=url, MessageBody="hello")
        [message] = (await call(sqs.receive_message, QueueUrl=url))["Messages"]
        await call(sqs.delete_message, QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        counts.append((tracked_by_moto(), kept("moto")))
    assert counts[0] == counts[1] == counts[2]
