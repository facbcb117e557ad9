"""Templates of three kinds with handlers that are not ours, unmodified: SAM, CloudFormation, synthesised CDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
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
