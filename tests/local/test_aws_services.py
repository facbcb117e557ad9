"""SQS, SNS, S3, SSM and Secrets Manager as unmodified boto3 clients see them, and the error for other services."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from urllib.parse import urlencode
from urllib.request import urlopen

import boto3
import pytest
import uvicorn
from aws_lambda_powertools.utilities.parser.models import S3Model, SnsModel
from botocore.config import Config
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.session import Session
from parley.account import secret_arn
from parley.asgi import ClientGone, read_body
from parley.aws_services import AwsServices, Resources
from parley.aws_services.known_services import endpoint_variables, known_services
from parley.aws_services.long_poll import MAX_SECONDS
from parley.aws_services.notifications import DEFAULT_BUS
from parley.clock import Clock
from parley.gateway.events import decode_headers
from parley.template.model import Bucket, Notification, Parameter, Queue, Secret, Subscription, Topic
from parley.trace import Trace

from tests.support.devices import free_port
from tests.support.kept_objects import kept, tracked_by_moto
from tests.support.waiting import HANGS, IDLE

DEAD = "arn:aws:sqs:us-east-1:000000000000:dead"
QUEUES = (Queue("dead"), Queue("work", {"RedrivePolicy": f'{{"deadLetterTargetArn": "{DEAD}", "maxReceiveCount": 1}}'}))
TOPIC = "arn:aws:sns:us-east-1:000000000000:news"
SUBSCRIPTION = Subscription(TOPIC, "arn:aws:sqs:us-east-1:000000000000:subscribed", raw=True)

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
FUNCTIONS = (
    Subscription(TOPIC, FUNCTION, protocol="lambda"),
    Subscription(
        "arn:aws:sns:us-east-1:000000000000:filtered",
        *(FUNCTION, False, "lambda"),
        {"FilterPolicy": '{"kind": ["wanted"]}'},
    ),
)
BUCKET = Bucket(
    "uploads",
    (
        Notification("CloudFunction", FUNCTION, ("s3:ObjectCreated:*", "s3:ObjectRemoved:*"), "in/", ".txt"),
        Notification("Queue", "arn:aws:sqs:us-east-1:000000000000:subscribed", ("s3:ObjectCreated:*",), "queue & co/"),
    ),
    notifies_bus=True,
)


@pytest.fixture
async def services():
    """The services behind HTTP, with queues and a parameter; `client(service)` is a boto3 client.

    What they send to functions and to the bus is in `delivered`; `left` is set if a client goes while it waits.
    """
    port, delivered, trace = free_port(), asyncio.Queue(), Trace()

    def deliver(arn, payload, source):
        delivered.put_nowait((arn, json.loads(payload), source))

    services = AwsServices(f"http://127.0.0.1:{port}/aws", trace, Clock(), deliver)
    services.delivered, services.left, services.trace = delivered, asyncio.Event(), trace

    async def app(scope, receive, send):
        headers = dict(decode_headers(scope["headers"]))
        service = scope["path"].removeprefix("/aws").strip("/").partition("/")[0]
        path, query = scope["raw_path"].decode(), scope["query_string"].decode()
        resource = f"{path.removeprefix(f'/aws/{service}') or '/'}{'?' if query else ''}{query}"
        body = await read_body(receive)
        try:
            answer = await services.answer(service, scope["method"], headers, body, resource, receive)
            await answer.send(send)
        except ClientGone:
            services.left.set()

    server = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="off", log_config=None, timeout_keep_alive=IDLE))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
        await asyncio.sleep(0.01)
    queues, parameters = (*QUEUES, Queue("subscribed")), (Parameter("/a/b", "value"),)
    subscriptions = (SUBSCRIPTION, *FUNCTIONS)
    await services.provision(
        Resources(queues, parameters, (Topic("news"), Topic("filtered")), subscriptions, (BUCKET,))
    )
    yield services
    server.should_exit = True
    await serving
    # moto's data are the process's own.
    await services.clear()


def client(services, service, path=None, **options):
    keys = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "any")
    endpoint = f"{services.url}{'/' + service if path is None else path}"
    config = Config(retries={"total_max_attempts": 1}, **options)
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


def in_a_form(services, **fields):
    """Send a request as older SDKs do, and return the answer's text."""
    with urlopen(f"{services.url}/sqs", urlencode({"Version": "2012-11-05", **fields}).encode(), HANGS) as answer:
        return answer.read().decode()


async def test_a_message_ends_the_wait_for_it(services):
    sqs = client(services, "sqs")
    url = (await call(sqs.get_queue_url, QueueName="work"))["QueueUrl"]
    waiting = asyncio.create_task(call(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=MAX_SECONDS))
    form = {"Action": "ReceiveMessage", "QueueUrl": url, "WaitTimeSeconds": MAX_SECONDS}
    also_waiting = asyncio.create_task(asyncio.to_thread(partial(in_a_form, services, **form)))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    assert not also_waiting.done()
    for _ in range(2):
        await call(sqs.send_message, QueueUrl=url, MessageBody="hello")
    assert [each["Body"] for each in (await waiting)["Messages"]] == ["hello"]
    assert "<Body>hello</Body>" in await also_waiting


async def test_a_queue_says_how_long_to_wait_for_its_messages(services):
    sqs = client(services, "sqs")
    attributes = {"ReceiveMessageWaitTimeSeconds": str(MAX_SECONDS)}
    url = (await call(sqs.create_queue, QueueName="patient", Attributes=attributes))["QueueUrl"]
    assert "Messages" not in await call(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=0)
    waiting = asyncio.create_task(call(sqs.receive_message, QueueUrl=url))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await call(sqs.send_message, QueueUrl=url, MessageBody="hello")
    assert "Messages" in await waiting


async def test_a_wait_ends_without_messages_after_its_time(services):
    sqs, began = client(services, "sqs"), time.monotonic()
    url = (await call(sqs.get_queue_url, QueueName="work"))["QueueUrl"]
    assert "Messages" not in await call(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=1)
    assert time.monotonic() - began >= 1


async def test_a_client_that_goes_while_it_waits_gets_no_message(services):
    sqs = client(services, "sqs")
    url = (await call(sqs.get_queue_url, QueueName="work"))["QueueUrl"]
    impatient = client(services, "sqs", read_timeout=0.2)
    with pytest.raises(ReadTimeoutError):
        await call(impatient.receive_message, QueueUrl=url, WaitTimeSeconds=MAX_SECONDS)
    async with asyncio.timeout(HANGS):
        await services.left.wait()
    await call(sqs.send_message, QueueUrl=url, MessageBody="hello")
    assert "Messages" in await call(sqs.receive_message, QueueUrl=url)


async def test_a_wait_that_sqs_refuses_is_refused(services):
    sqs = client(services, "sqs")
    url = (await call(sqs.get_queue_url, QueueName="work"))["QueueUrl"]
    with pytest.raises(ClientError, match="WaitTimeSeconds"):
        await call(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=MAX_SECONDS + 1)
    with pytest.raises(ClientError, match="NonExistentQueue"):
        await call(sqs.receive_message, QueueUrl=f"{url}-not", WaitTimeSeconds=MAX_SECONDS)


async def test_a_parameter_and_a_secret(services):
    ssm, secrets = client(services, "ssm"), client(services, "secretsmanager")
    assert (await call(ssm.get_parameter, Name="/a/b"))["Parameter"]["Value"] == "value"
    await call(secrets.create_secret, Name="s", SecretString="hidden")
    assert (await call(secrets.get_secret_value, SecretId="s"))["SecretString"] == "hidden"


async def test_a_secret_of_the_template_has_the_arn_that_ref_returns(services):
    secrets = client(services, "secretsmanager")
    await services.provision(Resources(secrets=(Secret("my/key", "hidden"), Secret("bare", ""))))
    for name in ("my/key", secret_arn("my/key")):
        found = await call(secrets.get_secret_value, SecretId=name)
        assert (found["Name"], found["ARN"], found["SecretString"]) == ("my/key", secret_arn("my/key"), "hidden")
    assert (await call(secrets.describe_secret, SecretId="bare"))["ARN"] == secret_arn("bare")
    await services.provision(Resources(secrets=(Secret("my/key", "changed"),)))
    assert (await call(secrets.get_secret_value, SecretId="my/key"))["SecretString"] == "changed"


async def test_a_parameter_may_refer_to_a_secret(services):
    await services.provision(Resources(secrets=(Secret("referred", "hidden"),)))
    found = await call(
        client(services, "ssm").get_parameter, Name="/aws/reference/secretsmanager/referred", WithDecryption=True
    )
    assert found["Parameter"]["Value"] == "hidden"


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


@pytest.mark.full
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


async def test_a_topics_http_endpoint_may_need_a_service_before_it_answers(services):
    sns, sqs = client(services, "sns"), client(services, "sqs")
    url = (await call(sqs.get_queue_url, QueueName="work"))["QueueUrl"]

    async def forward(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await call(sqs.send_message, QueueUrl=url, MessageBody="forwarded")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    topic = (await call(sns.create_topic, Name="to-http"))["TopicArn"]
    async with await asyncio.start_server(forward, "127.0.0.1") as endpoint:
        address = f"http://127.0.0.1:{endpoint.sockets[0].getsockname()[1]}"
        await call(sns.subscribe, TopicArn=topic, Protocol="http", Endpoint=address)
        await call(sns.publish, TopicArn=topic, Message="hello")
        found = await call(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=MAX_SECONDS)
    assert [each["Body"] for each in found["Messages"]] == ["forwarded"]


async def test_a_topics_http_endpoint_that_is_not_there_is_noted(services):
    sns, noted = client(services, "sns"), asyncio.Event()
    loop = asyncio.get_running_loop()
    services.trace.listen(lambda event: loop.call_soon_threadsafe(noted.set) if event.kind == "note" else None)
    topic = (await call(sns.create_topic, Name="to-nobody"))["TopicArn"]
    await call(sns.subscribe, TopicArn=topic, Protocol="http", Endpoint=f"http://127.0.0.1:{free_port()}")
    await call(sns.publish, TopicArn=topic, Message="hello")
    async with asyncio.timeout(HANGS):
        await noted.wait()
    [note] = [event.fields["text"] for event in services.trace.after(0) if event.kind == "note"]
    assert note.startswith("The topic to-nobody did not reach http://127.0.0.1:")


async def next_delivered(services):
    async with asyncio.timeout(HANGS):
        return await services.delivered.get()


async def test_a_topic_sends_to_a_function_in_sns_own_shape(services):
    sns = client(services, "sns")
    attributes = {"a": {"DataType": "String", "StringValue": "b"}}
    sent = await call(sns.publish, TopicArn=TOPIC, Message="hi", Subject="s", MessageAttributes=attributes)
    arn, event, source = await next_delivered(services)
    assert (arn, source) == (FUNCTION, "The topic news")
    SnsModel.model_validate(event)
    [record] = event["Records"]
    assert record["EventSource"] == "aws:sns"
    found = record["Sns"]
    assert (found["Message"], found["Subject"], found["MessageId"]) == ("hi", "s", sent["MessageId"])
    assert (found["TopicArn"], found["MessageAttributes"]) == (TOPIC, {"a": {"Type": "String", "Value": "b"}})


async def test_a_filter_keeps_messages_from_a_function(services):
    sns, topic = client(services, "sns"), "arn:aws:sns:us-east-1:000000000000:filtered"
    for kind in ("unwanted", "wanted"):
        attributes = {"kind": {"DataType": "String", "StringValue": kind}}
        await call(sns.publish, TopicArn=topic, Message=kind, MessageAttributes=attributes)
    _, event, _ = await next_delivered(services)
    assert event["Records"][0]["Sns"]["Message"] == "wanted"
    assert services.delivered.empty()


async def of_functions(services, count):
    """Return the first events for functions, without those for the bus."""
    found = []
    while len(found) < count:
        arn, event, _ = await next_delivered(services)
        if arn != DEFAULT_BUS:
            found.append(event)
    return found


async def test_a_bucket_sends_to_a_function_in_s3s_own_shape(services):
    s3 = client(services, "s3")
    await call(s3.put_object, Bucket="uploads", Key="out/a.txt", Body=b"no")
    await call(s3.put_object, Bucket="uploads", Key="in/a.png", Body=b"no")
    await call(s3.put_object, Bucket="uploads", Key="in/a b.txt", Body=b"hello")
    await call(s3.delete_object, Bucket="uploads", Key="in/a b.txt")
    put, removed = await of_functions(services, 2)
    S3Model.model_validate(put)
    [record] = put["Records"]
    assert (record["eventName"], record["s3"]["bucket"]["name"]) == ("ObjectCreated:Put", "uploads")
    assert (record["s3"]["object"]["key"], record["s3"]["object"]["size"]) == ("in/a+b.txt", 5)
    assert removed["Records"][0]["eventName"] == "ObjectRemoved:Delete"


async def test_a_multipart_upload_is_one_event(services):
    s3, place = client(services, "s3"), {"Bucket": "uploads", "Key": "in/big.txt"}
    upload = (await call(s3.create_multipart_upload, **place))["UploadId"]
    part = await call(s3.upload_part, **place, UploadId=upload, PartNumber=1, Body=b"x" * 100_000)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    await call(s3.complete_multipart_upload, **place, UploadId=upload, MultipartUpload=parts)
    await call(s3.put_object, Bucket="uploads", Key="in/last.txt", Body=b"")
    first, last = await of_functions(services, 2)
    assert first["Records"][0]["eventName"] == "ObjectCreated:CompleteMultipartUpload"
    assert last["Records"][0]["s3"]["object"]["key"] == "in/last.txt"


async def test_a_bucket_tells_the_bus_and_a_queue(services):
    s3, sqs = client(services, "s3"), client(services, "sqs")
    await call(s3.put_object, Bucket="uploads", Key="queue & co/a.txt", Body=b"hello")
    arn, event, source = await next_delivered(services)
    assert (arn, source) == (DEFAULT_BUS, "The bucket uploads")
    assert (event["source"], event["detail-type"]) == ("aws.s3", "Object Created")
    assert event["detail"]["object"]["key"] == "queue & co/a.txt"
    assert event["detail"]["reason"] == "PutObject"
    url = "https://sqs.us-east-1.amazonaws.com/000000000000/subscribed"
    bodies = []
    async with asyncio.timeout(HANGS):
        while not any("ObjectCreated" in body for body in bodies):
            found = await call(sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=10)
            bodies += [each["Body"] for each in found.get("Messages", [])]


async def test_objects_are_kept_as_they_are(services):
    s3, place = client(services, "s3"), {"Bucket": "uploads", "Key": "kept/é ?&.bin"}
    body = b"https://s3.us-east-1.amazonaws.com \x00\xff"
    await call(s3.put_object, **place, Body=body, ContentType="text/x", Metadata={"a_b": "1"})
    head = await call(s3.head_object, **place)
    assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (len(body), "text/x", {"a_b": "1"})
    assert (await call(s3.get_object, **place))["Body"].read() == body
    assert (await call(s3.get_object, **place, Range="bytes=0-4"))["Body"].read() == b"https"
    listed = await call(s3.list_objects_v2, Bucket="uploads", Prefix="kept/")
    assert [each["Key"] for each in listed["Contents"]] == ["kept/é ?&.bin"]
    with pytest.raises(ClientError, match="NoSuchKey"):
        await call(s3.get_object, Bucket="uploads", Key="none")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        await call(s3.get_object, Bucket="none", Key="none")


async def test_after_a_reset_the_buckets_are_as_the_template_says(services):
    s3 = client(services, "s3")
    await asyncio.to_thread(s3.put_object, Bucket="uploads", Key="in/a.txt", Body=b"one")
    await asyncio.to_thread(s3.create_bucket, Bucket="made")
    await services.clear()
    await services.provision(Resources(buckets=(BUCKET,)))
    found = await asyncio.to_thread(s3.list_buckets)
    assert [each["Name"] for each in found["Buckets"]] == ["uploads"]
    assert "Contents" not in await asyncio.to_thread(s3.list_objects_v2, Bucket="uploads")


async def test_a_bucket_that_comes_later_is_there(services):
    s3 = client(services, "s3")
    await asyncio.to_thread(s3.list_buckets)
    await services.provision(Resources(buckets=(Bucket("later"),)))
    found = await asyncio.to_thread(s3.list_buckets)
    assert {each["Name"] for each in found["Buckets"]} == {"uploads", "later"}
