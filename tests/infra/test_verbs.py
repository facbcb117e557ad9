"""`make deploy`, `make smoke`, `make remove` and `parley … --stack`, end to end, with the real SAM CLI.

AWS is an account on loopback (tests/support/aws_account.py). The stack's tables and WebSocket API are an emulator's.
"""

from __future__ import annotations

import subprocess

import pytest
from parley.dev_tokens import token

from tests.support.devices import SECRET, Emulator
from tests.support.operator_shell import operator as operator

pytestmark = pytest.mark.full

SECRETS = "PARAMETERS=OpenAiApiKey=sk-not-printed JwtSecret=ssm:/parley/jwt LogLevel=ERROR"
KEPT = ("UsersTable", "ChatsTable", "MessagesTable", "GenerateDeadLetterQueue", "EraseDeadLetterQueue")


def said(done: subprocess.CompletedProcess[str]) -> str:
    return f"{done.stdout}\n{done.stderr}"


def test_from_nothing_to_a_conversation_and_back_to_nothing(operator):
    account = operator.account
    emulator = Emulator()
    try:
        account.stacks.outputs = {
            "WebSocketUrl": emulator.websocket_url,
            "HttpUrl": emulator.url,
            "ManagementUrl": f"{emulator.url}/live",
        }
        deployed = operator.make("deploy", SECRETS)
        assert deployed.returncode == 0, said(deployed)
        assert f"WebSocketUrl  {emulator.websocket_url}" in deployed.stdout
        assert "sk-not-printed" not in said(deployed)
        values = account.stacks.get("parley-dev").parameters
        assert (values["OpenAiApiKey"], values["JwtSecret"]) == ("sk-not-printed", "ssm:/parley/jwt")
        assert (values["LogLevel"], values["ChatLanguage"]) == ("ERROR", "en"), "PARAMETERS replace those of the stage"

        operator.variables = {"AWS_ENDPOINT_URL_DYNAMODB": emulator.dynamodb_url}
        added = operator.parley("users", "add", "carol", "--stack", "parley-dev")
        assert (added.stdout, added.stderr) == ("Added carol.\n", "")
        tested = operator.make("smoke", f"TOKEN={token('carol', SECRET)}")
        assert tested.returncode == 0, said(tested)
        assert tested.stdout.endswith(f"{emulator.websocket_url} works.\n")
    finally:
        emulator.stop()

    again = operator.make("deploy", "PARAMETERS=LogLevel=ERROR")
    assert again.returncode == 0, said(again)
    assert "No changes to deploy" in said(again), "the stack keeps the parameters that are not given again"

    asked = operator.make("remove")
    assert asked.returncode == 2
    assert "Nothing was removed. To remove it: make remove STAGE=dev CONFIRM=parley-dev" in asked.stderr
    assert "parley-dev" in account.stacks.names()
    removed = operator.make("remove", "CONFIRM=parley-dev")
    assert removed.returncode == 0, said(removed)
    _, _, end = removed.stdout.partition("Stack parley-dev is removed. ")
    for name in KEPT:
        assert f"  {name} " in end
    assert "aws dynamodb delete-table --table-name UsersTable --region eu-central-1" in end
    assert "parley-dev" not in account.stacks.names()
    assert [path for path in account.objects if "/parley-dev/" in path] == [], "the bundles are gone too"


def test_dead_letters_by_the_outputs_of_the_stack(operator):
    account = operator.account
    template = (operator.folder / "built" / "template.yaml").read_text()
    name = {"StackName": "parley-dev", "ChangeSetName": "first"}
    account.stacks.create_change_set(
        {
            **name,
            "ChangeSetType": "CREATE",
            "TemplateBody": template,
            "Parameters": [
                {"ParameterKey": "OpenAiApiKey", "ParameterValue": "k"},
                {"ParameterKey": "JwtSecret", "ParameterValue": "s" * 32},
            ],
        }
    )
    account.stacks.execute_change_set(name)
    outputs = account.stacks.describe_stacks(name)["Stacks"][0]["Outputs"]
    urls = {each["OutputKey"]: each["OutputValue"] for each in outputs}
    event = '{"user_id": "alice", "chat_id": "c1", "message_id": "m1"}'
    id_ = account.queues.put(urls["GenerateDeadLetterQueueUrl"], event, "Task timed out")

    listed = operator.parley("dlq", "list", "--stack", "parley-dev")
    assert listed.returncode == 0, said(listed)
    lines = listed.stdout.splitlines()
    assert lines[lines.index("Generate    1") + 1] == f"  {id_}  user_id=alice chat_id=c1 message_id=m1  Task timed out"
    assert "Erase       0" in lines

    planned = operator.parley("dlq", "redrive", "--stack", "parley-dev", "--queue", "Generate", "--dry-run")
    assert planned.stdout == "Generate    1 would go to GenerateFunction\n"
    assert account.invocations == []
    sent = operator.parley("dlq", "redrive", "--stack", "parley-dev", "--queue", "Generate")
    assert (sent.stdout, sent.returncode) == ("Generate    1 sent to GenerateFunction\n", 0)
    assert account.invocations == [("GenerateFunction", event.encode())]
    assert account.queues.bodies(urls["GenerateDeadLetterQueueUrl"]) == []
    assert operator.parley("dlq", "redrive", "--stack", "parley-dev").returncode == 0


def test_a_first_deployment_that_fails_says_what_is_there_now(operator):
    operator.account.stacks.failing = {"HttpApi": "Too many APIs."}
    failed = operator.make("deploy", SECRETS)
    assert failed.returncode == 2
    assert "Stack parley-dev in eu-central-1 is ROLLBACK_COMPLETE: its first deployment failed" in failed.stdout
    assert "HttpApi (AWS::Serverless::HttpApi): Too many APIs." in failed.stdout
    assert "→ make remove STAGE=dev CONFIRM=parley-dev, then deploy again." in failed.stdout
    refused = operator.make("deploy", SECRETS)
    assert refused.returncode == 2
    assert "1 of these keep stage dev from being deployed. Nothing was changed." in refused.stderr
    operator.account.stacks.failing = {}
    assert operator.make("remove", "CONFIRM=parley-dev").returncode == 0
    assert "parley-dev" not in operator.account.stacks.names()


@pytest.mark.parametrize(
    ("variables", "settings", "what"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIDSOMEBODYELSE"}, (), "AWS refuses the credentials (InvalidClientTokenId)"),
        ({"AWS_REGION": "eu-centrl-1", "AWS_DEFAULT_REGION": "eu-centrl-1"}, (), "eu-centrl-1 is not a region"),
        (
            {},
            ("PARAMETERS=OpenAiApiKey=k JwtSecret=ssm:/parley/jwt ChatLanguage=xx",),
            "ChatLanguage does not accept 'xx'",
        ),
        ({}, (), "Parameter OpenAiApiKey has no value"),
        ({}, ("PARAMETERS=OpenAiApiKey=k JwtSecret=ssm:/none",), "JwtSecret is ssm:/none, and there is no such secret"),
        ({}, ("PARAMETERS=OpenAiApiKey=k",), "Set JwtSecret, or JwtJwksUrl for an identity provider."),
        ({}, ("STAGE=test",), "has no stage test. It has dev: make deploy STAGE=dev."),
    ],
)
def test_bad_input_is_named_before_anything_is_built_or_created(operator, variables, settings, what):
    operator.variables = variables
    refused = operator.make("deploy", *settings)
    assert refused.returncode == 2
    assert what in said(refused)
    assert "Traceback" not in said(refused)
    assert operator.account.stacks.names() == []
    assert operator.account.objects == {}
