"""The template as CloudFormation gets it: SAM's transform hides nothing that was not asked for."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.sam import grants_of, named_in, needs, resources, statements_of, text_of, transformed
from tests.support.waiting import HANGS

ONE_OF_MANY = {
    "/POST/@connections/*": "a connection is known only when it is there",
    "/DELETE/@connections/*": "a connection is known only when it is there",
    "/uploads/*": "a file is known only when it is there",
    "/files/*": "a file is known only when it is there",
    ":secret:${Name}-??????": "Secrets Manager adds six characters to a name",
}
"""The only ends of a resource that match more than one thing, and why."""

WITHOUT_A_RESOURCE = {
    "xray:PutTraceSegments": "X-Ray has no ARNs for traces",
    "xray:PutTelemetryRecords": "X-Ray has no ARNs for traces",
}
"""The only actions that are allowed on everything, and why."""


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return transformed()


@pytest.fixture(scope="module")
def functions(template) -> dict[str, dict[str, Any]]:
    return {name: each["Properties"] for name, each in resources(template, "AWS::Lambda::Function").items()}


@pytest.fixture(scope="module")
def roles(functions) -> dict[str, str]:
    return {name: text_of(properties["Role"]).removesuffix(".Arn") for name, properties in functions.items()}


@pytest.mark.full
def test_cfn_lint_has_nothing_to_say_about_it(template, tmp_path):
    path = tmp_path / "template.json"
    path.write_text(json.dumps(template))
    command = [Path(sys.executable).with_name("cfn-lint"), "--non-zero-exit-code", "informational", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_resource_needs_itself_in_a_circle(template):
    waiting = {name: needs(each) & template["Resources"].keys() for name, each in template["Resources"].items()}
    while ready := [name for name, needed in waiting.items() if not needed & waiting.keys()]:
        for name in ready:
            del waiting[name]
    assert not waiting


def test_every_reference_leads_somewhere(template):
    known = template["Resources"].keys() | template["Parameters"].keys()
    named = set(named_in([template["Resources"], template["Outputs"]]))
    assert {name for name in named if not name.startswith("AWS::")} <= known


def test_each_function_has_a_role_of_its_own_without_policies_of_aws(template, roles):
    assert len(set(roles.values())) == len(roles) == len(resources(template, "AWS::IAM::Role"))
    for role in roles.values():
        for arn in template["Resources"][role]["Properties"]["ManagedPolicyArns"]:
            [condition, policy, nothing] = arn["Fn::If"]
            assert template["Resources"][policy["Ref"]]["Condition"] == condition
            assert nothing == {"Ref": "AWS::NoValue"}


def test_no_role_may_do_everything_or_touch_everything(template, roles):
    for name, role in roles.items():
        for statement in statements_of(template, role):
            assert statement["Effect"] == "Allow"
            assert not {"NotAction", "NotResource"} & statement.keys()
        for actions, resource in grants_of(template, role):
            assert not any("*" in action for action in actions), name
            if resource == "*":
                assert actions <= WITHOUT_A_RESOURCE.keys(), f"{name} may do {actions} to everything"
                continue
            [known] = [end for end in ONE_OF_MANY if resource.endswith(end)] or [""]
            assert not set("*?") & set(resource.removesuffix(known)), f"{name} may touch {resource}"


def test_no_permission_guesses_the_name_of_a_function(template, roles):
    """Lambda's names are cut to 64 characters, so a rule by name fails for stacks with long names."""
    for role in roles.values():
        for actions, resource in grants_of(template, role):
            assert "${AWS::StackName}" not in resource
            if actions == {"lambda:InvokeFunction"}:
                assert re.fullmatch(r"\w+Function\.Arn", resource)


def test_a_broadcast_may_go_on_in_another_invocation(template, roles):
    assert ({"lambda:InvokeFunction"}, "DeliverFunction.Arn") in grants_of(template, roles["DeliverFunction"])


class TestLogs:
    def test_each_function_writes_to_a_group_of_its_own_that_forgets(self, template, functions, roles):
        groups = {name: each["LoggingConfig"]["LogGroup"]["Ref"] for name, each in functions.items()}
        assert len(set(groups.values())) == len(functions) == 9
        for name, group in groups.items():
            properties = template["Resources"][group]["Properties"]
            assert properties["RetentionInDays"] == {"Ref": "LogRetentionDays"}
            writing = [
                each for each in grants_of(template, roles[name]) if any("logs:" in action for action in each[0])
            ]
            assert writing == [({"logs:CreateLogStream", "logs:PutLogEvents"}, f"{group}.Arn")]

    def test_names_of_groups_differ_and_belong_to_the_stack(self, template):
        names = [
            each["Properties"]["LogGroupName"]["Fn::Sub"]
            for each in resources(template, "AWS::Logs::LogGroup").values()
        ]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"/aws/lambda/\$\{AWS::StackName\}/[a-z-]+", name) for name in names)

    def test_every_level_is_one_that_lambda_knows(self, template, functions):
        """Lambda drops lines below its own level: without it LogLevel=DEBUG does nothing. cfn-lint does not check it.

        https://docs.aws.amazon.com/lambda/latest/api/API_LoggingConfig.html
        """
        given = {"Fn::FindInMap": ["LambdaLogLevels", {"Ref": "LogLevel"}, "Level"]}
        for properties in functions.values():
            assert properties["LoggingConfig"]["LogFormat"] == "JSON"
            assert properties["LoggingConfig"]["ApplicationLogLevel"] == given
        levels = {ours: each["Level"] for ours, each in template["Mappings"]["LambdaLogLevels"].items()}
        assert list(levels) == template["Parameters"]["LogLevel"]["AllowedValues"]
        assert levels == {"DEBUG": "DEBUG", "INFO": "INFO", "WARNING": "WARN", "ERROR": "ERROR"}


class TestWorkThatFails:
    def invoked_asynchronously(self, template, functions) -> set[str]:
        told = {
            value["Ref"]
            for properties in functions.values()
            for variable, value in properties["Environment"]["Variables"].items()
            if variable.endswith("_FUNCTION")
        }
        configs = resources(template, "AWS::Lambda::EventInvokeConfig").values()
        destinations = [each["Properties"].get("DestinationConfig", {}) for each in configs]
        return (told | set(named_in(destinations))) & functions.keys()

    def test_asynchronous_events_end_in_a_queue(self, template, functions, roles):
        names = self.invoked_asynchronously(template, functions)
        assert names == {"GenerateFunction", "GiveUpFunction", "DeliverFunction", "EraseFunction"}
        for name in names:
            queue = text_of(functions[name]["DeadLetterConfig"]["TargetArn"])
            assert ({"sqs:SendMessage"}, queue) in grants_of(template, roles[name])

    def test_asynchronous_events_have_an_age_and_a_number_of_retries(self, template, functions):
        configs = resources(template, "AWS::Lambda::EventInvokeConfig").values()
        given = {
            each["Properties"]["FunctionName"]["Ref"]: (
                each["Properties"]["MaximumRetryAttempts"],
                each["Properties"].get("MaximumEventAgeInSeconds"),
            )
            for each in configs
        }
        assert given == {
            "GenerateFunction": (2, 300),
            "GiveUpFunction": (2, 21_600),
            "DeliverFunction": (1, 300),
            # A deletion has all the time that Lambda gives.
            "EraseFunction": (2, None),
        }

    def test_a_message_that_fails_again_and_again_leaves_its_queue(self, template):
        [source] = resources(template, "AWS::Lambda::EventSourceMapping").values()
        queue = template["Resources"][text_of(source["Properties"]["EventSourceArn"]).removesuffix(".Arn")]
        redrive = queue["Properties"]["RedrivePolicy"]
        assert text_of(redrive["deadLetterTargetArn"]) == "AnonymousDeadLetterQueue.Arn"
        assert redrive["maxReceiveCount"] >= 5
        assert 2 <= source["Properties"]["ScalingConfig"]["MaximumConcurrency"] <= 1000

    def test_the_queues_hold_what_failed_for_two_weeks_encrypted_and_no_stack_deletes_it(self, template):
        queues = {n: each for n, each in resources(template, "AWS::SQS::Queue").items() if "DeadLetter" in n}
        assert len(queues) == 5
        for queue in queues.values():
            assert queue["Properties"] == {"MessageRetentionPeriod": 14 * 24 * 3600, "SqsManagedSseEnabled": True}
            assert (queue["DeletionPolicy"], queue["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")

    def test_each_dead_letter_queue_is_an_output(self, template):
        named = {name for name in template["Outputs"] if name.endswith("DeadLetterQueueUrl")}
        assert named == {f"{n}Url" for n in resources(template, "AWS::SQS::Queue") if "DeadLetter" in n}


def test_tracing_is_allowed_only_if_it_is_on(template, functions):
    assert all(properties["TracingConfig"] == {"Mode": {"Ref": "Tracing"}} for properties in functions.values())
    assert template["Resources"]["TracingPolicy"]["Condition"] == "TracingIsOn"
    assert template["Conditions"]["TracingIsOn"] == {"Fn::Equals": [{"Ref": "Tracing"}, "Active"]}
