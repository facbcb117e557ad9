"""The Invoke API, as an unmodified boto3 client sees it."""

import asyncio
import json
from functools import partial

import boto3
import botocore.exceptions
import pytest
import uvicorn
from botocore.config import Config
from parley.asgi import Response, read_body

from tests.support.waiting import IDLE

ECHO = """
    def handler(event, context):
        if event == "fail":
            raise ValueError("wrong")
        return event
"""


@pytest.fixture
async def service(serve):
    return await serve({"retries": 0}, echo=ECHO)


@pytest.fixture
async def client(service):
    """A boto3 client of the service, behind HTTP."""

    async def app(scope, receive, send):
        name = scope["path"].removeprefix("/2015-03-31/functions/").removesuffix("/invocations")
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        await Response(*await service.lambda_.http_invoke(name, headers, await read_body(receive))).send(send)

    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None, timeout_keep_alive=IDLE))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
        await asyncio.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    keys = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "any")
    yield boto3.client(
        "lambda", endpoint_url=url, region_name="us-east-1", config=Config(retries={"total_max_attempts": 1}), **keys
    )
    server.should_exit = True
    await serving


async def invoke(client, **arguments):
    return await asyncio.to_thread(partial(client.invoke, **arguments))


async def refused(client, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        await invoke(client, **arguments)
    return error.value


@pytest.mark.parametrize(
    "name",
    [
        "echo",
        "echo:$LATEST",
        "000000000000:function:echo",
        "arn:aws:lambda:us-east-1:000000000000:function:echo",
    ],
)
async def test_a_function_is_found_by_all_its_names(client, name):
    response = await invoke(client, FunctionName=name, Payload=b'{"a": 1}')
    assert json.load(response["Payload"]) == {"a": 1}
    assert (response["StatusCode"], response["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in response


async def test_no_payload_is_an_empty_object(client):
    response = await invoke(client, FunctionName="echo")
    assert json.load(response["Payload"]) == {}


async def test_a_functions_error_is_marked(client):
    response = await invoke(client, FunctionName="echo", Payload=b'"fail"')
    assert response["FunctionError"] == "Unhandled"
    assert json.load(response["Payload"])["errorType"] == "ValueError"


async def test_an_event_is_accepted_with_the_id_that_it_runs_under(client, service):
    response = await invoke(client, FunctionName="echo", InvocationType="Event", Payload=b"{}")
    assert response["StatusCode"] == 202
    [end] = await service.until("end")
    assert end["request_id"] == response["ResponseMetadata"]["RequestId"]


async def test_a_dry_run_runs_nothing(client, service):
    response = await invoke(client, FunctionName="echo", InvocationType="DryRun")
    assert response["StatusCode"] == 204
    assert not service.traced("start")


async def test_an_unknown_function_is_not_found(client):
    error = await refused(client, FunctionName="other")
    assert isinstance(error, client.exceptions.ResourceNotFoundException)
    assert error.response["Message"] == "Function not found: arn:aws:lambda:us-east-1:000000000000:function:other"


async def test_a_payload_that_is_no_json_is_refused(client):
    error = await refused(client, FunctionName="echo", Payload=b"{broken")
    assert isinstance(error, client.exceptions.InvalidRequestContentException)
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize(("kind", "size"), [("RequestResponse", 6 * 1024 * 1024), ("Event", 1024 * 1024)])
async def test_a_payload_over_the_quota_is_refused(client, kind, size):
    error = await refused(client, FunctionName="echo", InvocationType=kind, Payload=b'"%s"' % (b"x" * (size - 1)))
    assert error.response["Error"]["Code"] == "RequestEntityTooLargeException"
    assert str(size) in error.response["Error"]["Message"]
