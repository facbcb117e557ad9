"""Access control as the options ask for it, and calls as IAM sees them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from parley.emulator.access import access_control
from parley.emulator.call_log import ServiceCall
from parley.emulator.options import FunctionOptions, Options
from parley.emulator.paths import stages_by_path
from parley.errors import StartError
from parley.iam.requirements import Call
from parley.template.model import Stage, Template, WebSocketApi
from parley.trace import Trace

TEMPLATE = Template({}, (), (), ())
INLINE = FunctionOptions(mode="inline")
ELSEWHERE = "http://127.0.0.1:9000"


@pytest.mark.parametrize("mode", ["report", "enforce"])
def test_functions_as_processes_are_checked(mode):
    access = access_control(Options(iam=mode), TEMPLATE, {}, Trace())
    assert access is not None
    assert access.mode == mode


def test_off_is_off():
    assert access_control(Options(iam="off"), TEMPLATE, {}, Trace()) is None


@pytest.mark.parametrize("options", [Options(functions=INLINE), Options(dynamodb=ELSEWHERE)])
def test_a_report_that_cannot_tell_functions_apart_says_so(options):
    trace = Trace()
    assert access_control(options, TEMPLATE, {}, trace) is None
    assert [event.fields["text"].partition(":")[0] for event in trace.after(0)] == ["IAM is not checked"]


@pytest.mark.parametrize(
    ("options", "overrides"),
    [
        (Options(functions=INLINE, iam="enforce"), {}),
        (Options(dynamodb=ELSEWHERE, iam="enforce"), {"AWS_ACCESS_KEY_ID": "AKIA"}),
    ],
)
def test_what_cannot_be_enforced_does_not_start(options, overrides):
    with pytest.raises(StartError, match="--iam=enforce"):
        access_control(options, TEMPLATE, overrides, Trace())


@pytest.mark.parametrize("faults", [None, Path("plan.json")])
def test_calls_of_a_dynamodb_elsewhere_go_through_the_emulator_to_be_refused(faults):
    assert Options(dynamodb=ELSEWHERE, iam="enforce", faults=faults).intercepts_dynamodb
    assert not Options(dynamodb=ELSEWHERE).intercepts_dynamodb


def requested(path, body=b"", method="POST", query=b"", **headers):
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"path": path, "method": method, "query_string": query, "headers": named}
    call = ServiceCall(scope, body, lambda key: "")
    return call.requested({"/prod": ("abc", "live"), "/ws/chat": ("abc", "live")})


class TestRequested:
    def test_dynamodb(self):
        body = json.dumps({"TableName": "Users"}).encode()
        call = requested("/_parley/dynamodb", body, x_amz_target="DynamoDB_20120810.GetItem")
        assert call == Call("dynamodb", "GetItem", {"TableName": "Users"})

    @pytest.mark.parametrize(
        ("path", "query", "qualifier"),
        [
            ("Worker", b"", ""),
            ("Worker:live", b"", "live"),
            ("Worker", b"Qualifier=live", "live"),
            ("arn:aws:lambda:us-east-1:000000000000:function:Worker", b"", ""),
        ],
    )
    def test_lambda(self, path, query, qualifier):
        call = requested(f"/2015-03-31/functions/{path}/invocations", b"{}", query=query)
        assert call == Call("lambda", "Invoke", {"FunctionName": "Worker", "Qualifier": qualifier})

    @pytest.mark.parametrize("path", ["/prod", "/ws/chat"])
    def test_a_connection_of_a_stage_by_its_name_in_the_template(self, path):
        call = requested(f"{path}/@connections/x=", method="DELETE")
        assert call == Call("execute-api", "DeleteConnection", {"ApiId": "abc", "Stage": "live", "Method": "DELETE"})

    def test_a_connection_of_no_stage(self):
        assert requested("/other/@connections/x=") is None

    def test_another_service_in_json(self):
        call = requested("/_parley/aws/sqs", b'{"QueueUrl": "u"}', x_amz_target="AmazonSQS.SendMessage")
        assert call == Call("sqs", "SendMessage", {"QueueUrl": "u"})

    def test_another_service_in_a_form(self):
        call = requested(
            *("/_parley/aws", b"Action=Publish&TopicArn=t"),
            content_type="application/x-www-form-urlencoded; charset=utf-8",
            authorization="AWS4-HMAC-SHA256 Credential=K/20261126/us-east-1/sns/aws4_request, Signature=0",
        )
        assert call == Call("sns", "Publish", {"Action": "Publish", "TopicArn": "t"})

    @pytest.mark.parametrize("body", [b"not JSON", b"[1]", b"\xff"])
    def test_a_body_that_is_none(self, body):
        call = requested("/_parley/dynamodb", body, x_amz_target="DynamoDB_20120810.GetItem")
        assert call == Call("dynamodb", "GetItem", {})


def test_a_stage_that_the_options_rename_keeps_its_name_for_iam():
    api = WebSocketApi("Api", "abc", (Stage("live"), Stage("test")), "$request.body.action", {})
    served = replace(api, stages=(Stage("prod"), Stage("test")))
    assert stages_by_path([served], [api]) == {
        "/prod": ("abc", "live"),
        "/test": ("abc", "test"),
        "/ws/chat": ("abc", "live"),
    }
