"""SQS, SSM and Secrets Manager as unmodified boto3 clients see them, and the error for other services."""

from __future__ import annotations

import asyncio
from functools import partial
from threading import Lock

import boto3
import pytest
import uvicorn
from botocore.config import Config
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.exceptions import ClientError
from botocore.session import Session
from parley.asgi import read_body
from parley.aws_services import AwsServices, endpoint_variables, known_services
from parley.gateway.events import decode_headers
from parley.template.model import Parameter, Queue, Subscription, Topic
from parley.trace import Trace

from tests.support.devices import free_port
from tests.support.kept_objects import kept, tracked_by_moto
from tests.support.waiting import IDLE

DEAD = "arn:aws:sqs:us-east-1:000000000000:dead"
QUEUES = (Queue("dead"), Queue("work", {"RedrivePolicy": f'{{"deadLetterTargetArn": "{DEAD}", "maxReceiveCount": 1}}'}))
TOPIC = "arn:aws:sns:us-east-1:000000000000:news"
SUBSCRIPTION = Subscription(TOPIC, "arn:aws:sqs:us-east-1:000000000000:subscribed", raw=True)


@pytest.fixture
async def services():
    """The services behind HTTP, with queues and a parameter; `client(service)` is a boto3 client."""
    port = free_port()
    services = AwsServices(f"http://127.0.0.1:{port}/aws", Trace(), Lock())

    async def app(scope, receive, send):
        headers = dict(decode_headers(scope["headers"]))
        service = scope["path"].removeprefix("/aws").strip("/").partition("/")[0]
        await (await services.answer(service, scope["method"], headers, await read_body(receive))).send(send)

    server = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="off", log_config=None, timeout_keep_alive=IDLE))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
        await asyncio.sleep(0.01)
    queues, parameters = (*QUEUES, Queue("subscribed")), (Parameter("/a/b", "value"),)
    await services.provision(queues, parameters, (Topic("news"),), (SUBSCRIPTION,))
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
    ("service", "operation", "name"),
    [
        ("s3", "list_buckets", "S3"),
        ("events", "list_rules", "EVENTBRIDGE"),
        ("athena", "list_work_groups", "ATHENA"),
        ("kinesis", "list_streams", "KINESIS"),
    ],
)
async def test_a_service_that_is_not_here_says_what_to_set(services, service, operation, name):
    absent = client(services, service, "")
    with pytest.raises(ClientError, match=f"AWS_ENDPOINT_URL_{name} ") as failed:
        await call(getattr(absent, operation))
    assert failed.value.response["Error"]["Code"] == "NotInEmulator"


SERVICES = Session().get_available_services()


def read_by_botocore(service):
    """Return the variable from which botocore itself reads the endpoint of a service."""
    return ConfiguredEndpointProvider({}, {}, service, environ={})._get_service_env_var_name()


def test_every_service_that_botocore_knows_is_known_by_its_variable():
    assert sorted(each.variable for each in known_services()) == sorted(map(read_by_botocore, SERVICES))
    assert all(each.signing_name and each.protocol for each in known_services())


def test_the_hint_for_a_request_of_any_service_has_the_variable_of_the_service():
    for each in known_services():
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential=K/20260101/us-east-1/{each.signing_name}/aws4_request"
        }
        if each.target:
            headers["X-Amz-Target"] = f"{each.target}.Operation"
        if each.protocol in ("query", "ec2"):
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
        assert each.variable in endpoint_variables(headers)


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "said"),
    [
        ("stepfunctions", "list_state_machines", {}, "AWS_ENDPOINT_URL_SFN "),
        ("logs", "describe_log_groups", {}, "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS "),
        ("cognito-idp", "list_user_pools", {"MaxResults": 1}, "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER "),
        ("cognito-idp", "sign_up", {"ClientId": "c", "Username": "u"}, "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER "),
        ("dynamodbstreams", "list_streams", {}, "AWS_ENDPOINT_URL_DYNAMODB_STREAMS "),
        (
            "sesv2",
            "list_email_identities",
            {},
            "AWS_ENDPOINT_URL_MAILMANAGER or AWS_ENDPOINT_URL_PINPOINT_EMAIL or AWS_ENDPOINT_URL_SESV2 ",
        ),
        ("ses", "list_identities", {}, "AWS_ENDPOINT_URL_SES "),
        ("elbv2", "describe_rules", {}, "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING or AWS_ENDPOINT_URL_ELASTIC_LOAD_"),
        ("iot-data", "publish", {"topic": "t"}, "AWS_ENDPOINT_URL_IOT_DATA_PLANE "),
    ],
)
async def test_the_hint_is_for_the_service_that_was_called(services, service, operation, arguments, said):
    with pytest.raises(ClientError) as failed:
        await call(getattr(client(services, service, path=""), operation), **arguments)
    assert f"Set {said}" in failed.value.response["Error"]["Message"]


async def test_a_topics_messages_reach_the_queues_that_are_subscribed(services):
    await call(client(services, "sns").publish, TopicArn=TOPIC, Message="hello")
    assert [each["Body"] for each in await services.receive("subscribed", 10)] == ["hello"]


async def test_nothing_is_kept_of_a_message_that_was_deleted(services):
    """moto keeps every object that it has ever made, unless its lists are emptied."""
    sqs = client(services, "sqs")
    url = (await call(sqs.get_queue_url, QueueName="work"))["QueueUrl"]
    counts = []
    for _ in range(3):
        await call(sqs.send_message, QueueUrl=url, MessageBody="hello")
        [message] = (await call(sqs.receive_message, QueueUrl=url))["Messages"]
        await call(sqs.delete_message, QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        counts.append(tracked_by_moto() + kept("moto"))
    # No more of any class. There may be fewer: what earlier tests have let go of.
    assert not counts[2] - counts[0]
