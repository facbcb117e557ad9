"""Templates of three kinds with handlers that are not ours, unmodified: SAM, CloudFormation, synthesised CDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from parley.template.reader import read
from websockets.exceptions import InvalidStatus

from tests.support.devices import Emulator
from tests.support.plain_client import PlainClient
from tests.support.waiting import HANGS

TEMPLATES = Path(__file__).parent / "templates"


@pytest.fixture(scope="class")
def emulator(request) -> Iterator[Emulator]:
    emulator = Emulator(PARLEY_TEMPLATE=str(TEMPLATES / request.cls.template))
    yield emulator
    emulator.stop()


def refusal(*arguments, **headers):
    with pytest.raises(InvalidStatus) as refused:
        PlainClient(*arguments, **headers)
    return refused.value.response.status_code


class TestSam:
    template = "sam/template.yaml"

    def test_its_authorizer_lets_friends_in(self, emulator):
        assert refusal(emulator, "/prod") == 401
        assert refusal(emulator, "/prod?token=enemy") == 403
        assert PlainClient(emulator, "/prod?token=friend-ann").ask('{"action": "whoami"}') == "ann"

    def test_a_message_reaches_everyone_by_the_url_of_the_event(self, emulator):
        ann, bob = (PlainClient(emulator, f"/prod?token=friend-{name}") for name in ("ann", "bob"))
        ann.socket.send('{"action": "sendmessage", "data": "hi"}')
        for each in (ann, bob):
            assert json.loads(each.socket.recv(HANGS)) == {"from": "ann", "text": "hi"}

    def test_a_message_without_a_route_is_forbidden(self, emulator):
        assert json.loads(PlainClient(emulator, "/prod?token=friend-ann").ask("hello"))["message"] == "Forbidden"


class TestCloudFormation:
    template = "cloudformation/template.yaml"

    def test_a_composite_expression_leads_to_an_alias_whose_answer_is_sent(self, emulator):
        body = '{"service": "text", "items": [{"action": "echo"}]}'
        assert PlainClient(emulator, "/Echo/development").ask(body) == f"hello from 1: {body}"

    def test_the_default_route_goes_through_a_queue(self, emulator):
        assert json.loads(PlainClient(emulator, "/development").ask("not JSON")) == {"queued": "not JSON"}

    def test_the_second_api_has_a_path_of_its_own_and_no_backend(self, emulator):
        assert list(json.loads(PlainClient(emulator, "/Mock/v1").ask('{"type": "ping"}'))) == ["pong"]


class TestCdk:
    template = "cdk/Stack.template.json"

    def test_it_runs_as_synthesised(self, emulator):
        client = PlainClient(emulator, "/prod", Authorization="Basic let-me-in")
        assert json.loads(client.ask("hello")) == {"you": "cdk-user", "connections": 1, "said": "hello"}

    def test_its_authorizer_is_asked(self, emulator):
        assert refusal(emulator, "/prod") == 401
        assert refusal(emulator, "/prod", Authorization="Basic wrong") == 401


class TestComposedEndpoints:
    template = "composed/template.yaml"

    @pytest.mark.parametrize("api", ["First", "Second"])
    @pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
    def test_a_post_to_the_apis_host_on_aws_arrives_from_both_apis_with_the_stage(self, emulator, api, region):
        answer = PlainClient(emulator, f"/{api}/main").ask(region)
        host, domain = answer.split()
        assert host.endswith(f".execute-api.{region}.amazonaws.com")
        assert domain == emulator.url.removeprefix("http://")

    def test_the_second_http_api_is_found_by_its_host(self, emulator):
        assert PlainClient(emulator, "/First/main").ask('{"action": "page"}') == '"page /page"'


class TestServiceIntegrations:
    template = "services/template.yaml"

    def queue(self, emulator, name):
        """Return the bodies of the messages in a queue."""
        url = f"{emulator.url}/_parley/aws/sqs"
        keys = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "any")
        sqs = boto3.client("sqs", endpoint_url=url, region_name="us-east-1", **keys)
        queue = f"https://sqs.us-east-1.amazonaws.com/000000000000/{name}"
        return [each["Body"] for each in sqs.receive_message(QueueUrl=queue).get("Messages", [])]

    def test_a_message_is_stored_in_dynamodb_and_read_by_the_templates(self, emulator):
        client = PlainClient(emulator, "/live")
        assert json.loads(client.ask('{"action": "store", "text": "a \\"quoted\\" text"}')) == {}
        assert client.ask('{"action": "read"}') == 'a "quoted" text'

    def test_a_message_goes_to_a_queue_by_its_path(self, emulator):
        body = '{"a": "1 & 2 + 3", "b": "é"}'
        assert "<SendMessageResponse" in PlainClient(emulator, "/live").ask(body)
        assert self.queue(emulator, "Queue") == [body]

    def test_a_message_goes_to_a_topic_by_its_action_and_on_to_the_queue(self, emulator):
        assert "<PublishResponse" in PlainClient(emulator, "/live").ask('{"action": "publish", "text": "news"}')
        [envelope] = self.queue(emulator, "News")
        assert json.loads(envelope)["Message"] == "news"

    def test_another_service_is_named(self):
        notes = read(TEMPLATES / self.template).notes
        assert [note.partition(": ")[2] for note in notes] == [
            "`Steps`: integrations with the service states (StartExecution) are not emulated; ignored.",
            "`Api`: the route `steps` leads to nothing that is emulated; "
            "its messages are answered with `Internal server error`.",
            "`Enqueue`: `PassthroughBehavior` is not emulated; ignored.",
        ]
