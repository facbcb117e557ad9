"""Access control of functions: what is refused, what is recorded, what is listed."""

from pathlib import Path

import pytest
from parley.iam.access import AccessControl
from parley.iam.requirements import Call
from parley.template.model import Function, Role, Template
from parley.trace import Trace

TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/Users"
KEY = "arn:aws:kms:us-east-1:000000000000:key/k1"
LOGS = {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}
GET = Call("dynamodb", "GetItem", {"TableName": "Users"})
SCAN = Call("dynamodb", "Scan", {"TableName": "Users"})


def allow(*actions, resource=TABLE, **more):
    return {"Effect": "Allow", "Action": list(actions), "Resource": [resource], **more}


@pytest.fixture
def trace():
    return Trace()


@pytest.fixture
def control(trace):
    def of(mode="enforce", dead_letter=None, functions=("Worker",), **role):
        statements = [LOGS, *role.pop("statements", ())]
        roles = dict.fromkeys(functions, Role("worker-role", ({"Statement": statements},), **role))
        described = {
            name: Function(name, "app.handler", Path(), 3, 128, {}, dead_letter=dead_letter) for name in functions
        }
        return AccessControl(Template(described, (), (), (), roles=roles), mode, trace)

    return of


def events(trace, kind):
    return [event.fields for event in trace.after(0) if event.kind == kind]


class TestCheck:
    def test_what_the_role_allows_is_not_refused(self, control, trace):
        access = control(statements=[allow("dynamodb:GetItem")])
        assert access.check("Worker", GET) is None
        assert events(trace, "denied") == []

    def test_what_it_lacks_is_refused_each_time_and_recorded_once(self, control, trace):
        access = control()
        assert [access.check("Worker", GET).status for _ in range(2)] == [400, 400]
        [event] = events(trace, "denied")
        assert (event["function"], event["action"], event["resource"], event["refused"]) == (
            *("Worker", "dynamodb:GetItem", TABLE),
            True,
        )
        assert event["statement"] == {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": TABLE}

    @pytest.mark.parametrize("mode", ["enforce", "report"])
    def test_after_a_reset_it_is_recorded_again_and_the_report_has_it_once(self, control, trace, mode):
        access = control(mode, statements=[allow("dynamodb:Scan")])
        access.check("Worker", GET)
        access.reset()
        for _ in range(2):
            access.check("Worker", GET)
            access.check("Worker", SCAN)
        assert len(events(trace, "denied")) == 2
        [missing] = access.report()["functions"]["Worker"]["missing"]
        assert missing["action"] == "dynamodb:GetItem"

    def test_a_report_refuses_nothing(self, control, trace):
        assert control("report").check("Worker", GET) is None
        assert [event["refused"] for event in events(trace, "denied")] == [False]

    @pytest.mark.parametrize("caller", ["", "Stranger"])
    def test_who_is_no_function_may_do_everything(self, control, caller):
        assert control().check(caller, GET) is None

    def test_a_boundary_of_the_template_limits(self, control, trace):
        limits = {"Statement": [allow("dynamodb:Scan", resource="*"), LOGS]}
        access = control(statements=[allow("dynamodb:*")], boundary=limits)
        assert access.check("Worker", SCAN) is None
        assert "no permissions boundary allows" in access.check("Worker", GET).body.decode()
        assert "Add to the permissions boundary" in events(trace, "denied")[0]["text"]

    def test_a_boundary_elsewhere_is_said(self, control, trace):
        access = control(statements=[allow("dynamodb:*")], boundary="arn:aws:iam::1:policy/limit")
        assert access.check("Worker", GET) is None
        assert "boundary arn:aws:iam::1:policy/limit is not in the template" in events(trace, "note")[0]["text"]

    def test_an_unknown_role_allows_everything_but_what_it_denies(self, control, trace):
        deny = {**allow("dynamodb:Scan"), "Effect": "Deny"}
        access = control(statements=[deny], managed=("arn:aws:iam::1:policy/own",))
        assert access.check("Worker", GET) is None
        assert access.check("Worker", SCAN).status == 400
        assert "arn:aws:iam::1:policy/own is not in the template" in events(trace, "note")[0]["text"]

    def test_a_customers_key_must_be_allowed_through_the_service(self, control):
        through = {"StringEquals": {"kms:ViaService": "ssm.us-east-1.amazonaws.com"}}
        reading = allow("ssm:GetParameter", resource="*")
        read = Call("ssm", "GetParameter", {"Name": "/key", "WithDecryption": True})
        for extra, status in (((), 400), ((allow("kms:Decrypt", resource=KEY, Condition=through),), None)):
            access = control(statements=[reading, *extra])
            assert access.check("Worker", read) is None
            access.check("", Call("ssm", "PutParameter", {"Name": "/key", "KeyId": "k1", "Type": "SecureString"}))
            refused = access.check("Worker", read)
            assert (refused and refused.status) == status


class TestService:
    def test_what_lambda_needs_is_said_at_the_start(self, control, trace):
        control(dead_letter="arn:aws:sqs:us-east-1:000000000000:dead")
        [event] = events(trace, "denied")
        assert event["action"] == "sqs:SendMessage"
        assert not event["refused"]
        assert event["text"].endswith("Lambda needs it for the function's dead letters.")

    def test_what_lambda_uses_is_not_unused(self, control):
        access = control(
            statements=[allow("sqs:SendMessage", resource="arn:aws:sqs:*:*:dead"), allow("xray:Put*", resource="*")],
            dead_letter="arn:aws:sqs:us-east-1:000000000000:dead",
        )
        assert access.report()["functions"]["Worker"]["unused"] == []


class TestUnused:
    def test_each_action_and_resource_counts(self, control, trace):
        access = control(statements=[allow("dynamodb:GetItem", "dynamodb:Scan", "dynamodb:Delete*")])
        access.check("Worker", GET)
        unused = [{"actions": ["dynamodb:Scan", "dynamodb:Delete*"], "resource": TABLE}]
        assert access.report()["functions"]["Worker"]["unused"] == unused
        access.record_unused()
        [event] = events(trace, "unused")
        assert event["text"] == f"Worker did not use dynamodb:Scan, dynamodb:Delete* on {TABLE}"

    def test_functions_with_one_role_use_it_together(self, control, trace):
        access = control(statements=[allow("dynamodb:GetItem", "dynamodb:Scan")], functions=("One", "Two", "Three"))
        access.check("One", GET)
        access.check("Two", SCAN)
        access.record_unused()
        assert events(trace, "unused") == []

    def test_nothing_is_said_before_the_first_call(self, control, trace):
        control(statements=[allow("dynamodb:GetItem")]).record_unused()
        assert events(trace, "unused") == []

    def test_a_managed_policy_of_awss_is_not_listed(self, control):
        access = control(managed=("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",))
        assert access.report()["functions"]["Worker"]["unused"] == []


def test_the_report_has_what_was_used(control):
    access = control(statements=[allow("dynamodb:GetItem")])
    access.check("Worker", GET)
    access.check("Worker", GET)
    assert access.report() == {
        "mode": "enforce",
        "functions": {
            "Worker": {
                "role": "worker-role",
                "known": True,
                "used": [{"action": "dynamodb:GetItem", "resource": TABLE, "calls": 2}],
                "missing": [],
                "unused": [],
            }
        },
    }
