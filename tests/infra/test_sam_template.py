"""`infra/template.yaml`: CloudFormation and SAM accept it, and it grants and sets no more than the functions need."""

import ast
import os
import re
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from parley.template.model import Throttle
from parley.template.reader import read

from handlers.chat.connections import GREETING_SECONDS
from handlers.chat.deliverer import MAX_PARTS, PAGE_CONNECTIONS, SEGMENTS
from handlers.chat.replies.hold import HOLD_SECONDS
from tests.faults.simulation.chat import DEFAULT_SECONDS
from tests.support.sam import TEMPLATE, grants_of, named_in, source
from tests.support.waiting import HANGS

ROOT = Path(__file__).parents[2]
SAM = ROOT / ".venv-sam" / "bin" / "sam"
LINTERS = {
    "cfn-lint": [ROOT / ".venv" / "bin" / "cfn-lint", "--non-zero-exit-code", "informational", TEMPLATE],
    "sam validate --lint": [SAM, "validate", "--lint", "--template-file", TEMPLATE],
}

UPLOADS, FILES = "${AttachmentsBucket.Arn}/uploads/*", "${AttachmentsBucket.Arn}/files/*"

FUNCTIONS = {
    "ConnectFunction": "connect.handler",
    "DisconnectFunction": "disconnect.handler",
    "DefaultFunction": "default.handler",
    "GenerateFunction": "generate.handler",
    "GiveUpFunction": "generate.on_failure",
    "DeliverFunction": "deliver.handler",
    "EraseFunction": "erase.handler",
    "ExpireFunction": "expire.handler",
    "ApiFunction": "api.handler",
}
CONNECTIONS = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${WebSocketApi}/${StageName}"

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html: "Defined runtime environment variables"
RESERVED_BY_LAMBDA = {
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
}


@pytest.fixture
def template() -> dict[str, Any]:
    return source()


@pytest.fixture(scope="module")
def linted() -> dict[str, Future[subprocess.CompletedProcess[str]]]:
    # Each takes seconds, so both run at once. Neither needs a network or an account.
    assert SAM.exists(), "no SAM CLI in .venv-sam: run make test"
    environment = os.environ | {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}
    with ThreadPoolExecutor() as executor:
        return {
            name: executor.submit(
                subprocess.run,
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=HANGS,
            )
            for name, command in LINTERS.items()
        }


@pytest.mark.full
@pytest.mark.parametrize("linter", LINTERS)
def test_linters_have_nothing_to_say(linted, linter):
    finished = linted[linter].result()

    assert finished.returncode == 0, finished.stdout
    assert not re.search(r"^[EWI]\d{4}", finished.stdout, re.MULTILINE), finished.stdout


def functions(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def variables(template: dict[str, Any], function: str) -> set[str]:
    shared = template["Globals"]["Function"]["Environment"]["Variables"]
    own = functions(template)[function].get("Environment", {}).get("Variables", {})
    return set(shared) | set(own)


def statements(template: dict[str, Any], function: str) -> list[tuple[set[str], str]]:
    """Return the actions and the resource, as text, of each statement of a function's role, but those for its logs."""
    granted = grants_of(template, f"{function}Role")
    return [(actions, resource) for actions, resource in granted if not resource.endswith("LogGroup.Arn")]


def test_every_function_is_a_module_of_handlers(template):
    for name, handler in FUNCTIONS.items():
        assert functions(template)[name]["Handler"] == f"handlers.{handler}"
        module, function = handler.split(".")
        source = (ROOT / "handlers" / f"{module}.py").read_text()
        assert f"def {function}(" in source or f"{function} = " in source
    assert functions(template).keys() == FUNCTIONS.keys()


def test_every_function_is_built_by_the_makefile(template):
    for name in FUNCTIONS:
        assert template["Resources"][name]["Metadata"] == {"BuildMethod": "makefile"}


@pytest.mark.parametrize(
    ("function", "granted"),
    [
        (
            "ConnectFunction",
            {
                *(
                    "UsersTable.Arn",
                    "ConnectionsTable.Arn",
                    "ChatsTable.Arn",
                    "DeliverFunction.Arn",
                    "AnonymousQueue.Arn",
                ),
                *("${ConnectionsTable.Arn}/index/byUser", f"{CONNECTIONS}/DELETE/@connections/*"),
            },
        ),
        ("DisconnectFunction", {"ConnectionsTable.Arn", "ChatsTable.Arn"}),
        (
            "EraseFunction",
            {
                *("ChatsTable.Arn", "MessagesTable.Arn", "DeliverFunction.Arn", "EraseDeadLetterQueue.Arn"),
                *("AttachmentsBucket.Arn", UPLOADS, FILES),
            },
        ),
    ],
)
def test_a_function_reaches_only_what_it_works_with(template, function, granted):
    optional = {"JwtSecretPolicy", "OpenAiApiKeyPolicy", "TracingPolicy"}
    template["Resources"] = {name: each for name, each in template["Resources"].items() if name not in optional}
    assert {resource for _, resource in statements(template, function)} == granted


@pytest.mark.parametrize(
    ("method", "allowed"),
    [
        ("POST", {"DefaultFunction", "GenerateFunction", "GiveUpFunction", "DeliverFunction"}),
        ("DELETE", {"ConnectFunction", "DefaultFunction", "ExpireFunction", "ApiFunction"}),
    ],
)
def test_only_those_who_post_or_close_may_and_only_on_this_stage(template, method, allowed):
    granted = {
        name: [each for actions, each in statements(template, name) if actions == {"execute-api:ManageConnections"}]
        for name in FUNCTIONS
    }
    resource = f"{CONNECTIONS}/{method}/@connections/*"
    others = {f"{CONNECTIONS}/{each}/@connections/*" for each in ("POST", "DELETE")}

    assert {name for name, resources in granted.items() if resource in resources} == allowed
    for name, resources in granted.items():
        assert set(resources) <= others
        assert not resources or "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI" in variables(template, name)


def test_each_function_does_to_attachments_only_what_it_is_for(template):
    granted = {
        name: {resource: actions for actions, resource in statements(template, name) if "AttachmentsBucket" in resource}
        for name in FUNCTIONS
    }
    assert {name: rights for name, rights in granted.items() if rights} == {
        "ApiFunction": {UPLOADS: {"s3:PutObject"}, FILES: {"s3:GetObject"}},
        "DefaultFunction": {UPLOADS: {"s3:GetObject"}, FILES: {"s3:GetObject", "s3:PutObject", "s3:DeleteObject"}},
        "GenerateFunction": {FILES: {"s3:GetObject"}},
        "EraseFunction": {
            "AttachmentsBucket.Arn": {"s3:ListBucket"},
            UPLOADS: {"s3:DeleteObject"},
            FILES: {"s3:DeleteObject"},
        },
    }
    told = {name for name in FUNCTIONS if "ATTACHMENTS_BUCKET" in variables(template, name)}
    assert told == {name for name, rights in granted.items() if rights}


def test_the_bucket_is_private_and_forgets_what_no_message_has_used(template):
    bucket = template["Resources"]["AttachmentsBucket"]
    properties = bucket["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert properties["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert "VersioningConfiguration" not in properties
    rules = {rule["Id"]: rule for rule in properties["LifecycleConfiguration"]["Rules"]}
    assert (rules["unused"]["Prefix"], rules["unused"]["ExpirationInDays"]) == ("uploads/", 1)
    assert all("ExpirationInDays" not in rule for name, rule in rules.items() if name != "unused")
    tables = template["Resources"]["MessagesTable"]
    for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
        assert bucket[policy] == tables[policy]
    [statement] = template["Resources"]["AttachmentsBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_the_http_api_reads_no_index_but_by_name(template):
    granted = {resource: actions for actions, resource in statements(template, "ApiFunction")}
    written = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}  # feedback
    assert granted["MessagesTable.Arn"] == {"dynamodb:GetItem", "dynamodb:Query", *written}
    assert granted["ConnectionsTable.Arn"] == {"dynamodb:GetItem", "dynamodb:DeleteItem"}
    assert {each for each in granted if "/index/" in each} == {
        "${ChatsTable.Arn}/index/byUpdatedAt",
        "${ConnectionsTable.Arn}/index/byUser",
    }


def test_a_function_that_is_told_of_another_one_may_invoke_it(template):
    for name, properties in functions(template).items():
        told = properties.get("Environment", {}).get("Variables", {})
        named = {value["Ref"] for variable, value in told.items() if variable.endswith("_FUNCTION")}
        destination = properties.get("EventInvokeConfig", {}).get("DestinationConfig", {})
        itself = {name} & {"DeliverFunction", "GenerateFunction"}
        invoked = {resource for actions, resource in statements(template, name) if "lambda:InvokeFunction" in actions}
        assert invoked == {f"{each}.Arn" for each in named | itself | set(named_in(destination))}, name


@pytest.mark.parametrize(
    ("secret", "holders"),
    [
        ("JWT_SECRET", {"ConnectFunction", "DefaultFunction", "ApiFunction"}),
        ("OPENAI_API_KEY", {"GenerateFunction"}),
    ],
)
def test_a_secret_is_known_only_where_it_is_used(template, secret, holders):
    assert {name for name in FUNCTIONS if secret in variables(template, name)} == holders


@pytest.mark.parametrize("parameter", ["JwtSecret", "OpenAiApiKey"])
def test_a_secret_is_not_shown_and_has_no_default_but_nothing(template, parameter):
    declared = template["Parameters"][parameter]

    assert declared["NoEcho"] is True
    assert declared.get("Default", "") == ""


@pytest.mark.parametrize(("secret", "parameter"), [("JWT_SECRET", "JwtSecret"), ("OPENAI_API_KEY", "OpenAiApiKey")])
def test_functions_with_a_secret_may_read_it_at_its_place(template, secret, parameter):
    reading = {"Fn::If": [f"{parameter}IsKept", {"Ref": f"{parameter}Policy"}, {"Ref": "AWS::NoValue"}]}
    for name, properties in functions(template).items():
        role = template["Resources"][properties["Role"]["Fn::GetAtt"].removesuffix(".Arn")]
        assert (reading in role["Properties"]["ManagedPolicyArns"]) == (secret in variables(template, name)), name


def test_a_turn_is_tried_three_times_within_five_minutes_and_kept_if_it_fails(template):
    worker = functions(template)["GenerateFunction"]
    queue = template["Resources"]["GenerateDeadLetterQueue"]

    destination = {"Type": "Lambda", "Destination": {"Fn::GetAtt": "GiveUpFunction.Arn"}}
    assert worker["EventInvokeConfig"] == {
        "MaximumRetryAttempts": 2,
        "MaximumEventAgeInSeconds": 300,
        "DestinationConfig": {"OnFailure": destination},
    }
    assert worker["DeadLetterQueue"] == {"Type": "SQS", "TargetArn": {"Fn::GetAtt": "GenerateDeadLetterQueue.Arn"}}
    assert queue["Properties"] == {"MessageRetentionPeriod": 14 * 24 * 3600, "SqsManagedSseEnabled": True}


def test_a_frame_is_delivered_twice_at_most_and_only_while_it_is_news(template):
    assert functions(template)["DeliverFunction"]["EventInvokeConfig"] == {
        "MaximumRetryAttempts": 1,
        "MaximumEventAgeInSeconds": 300,
    }


def test_lambda_cuts_no_broadcast_and_every_other_loop(template):
    """A chain of 16 invocations reaches 8,000 connections of a segment. Only `deliver` invokes itself on purpose."""
    allowed = {name: each["RecursiveLoop"] for name, each in functions(template).items() if "RecursiveLoop" in each}
    assert allowed == {"DeliverFunction": "Allow"}
    assert MAX_PARTS * PAGE_CONNECTIONS * SEGMENTS >= 10_000_000


def test_retries_apply_to_the_function_that_is_invoked(template):
    # With an alias the settings would sit on it, and an invocation by the plain name would go without.
    for name, properties in functions(template).items():
        assert "AutoPublishAlias" not in properties, name


@pytest.mark.parametrize("table", ["UsersTable", "ChatsTable", "MessagesTable"])
def test_tables_survive_the_stack_and_a_mistake(template, table):
    resource = template["Resources"][table]

    # If the first deployment fails, the empty tables go with it, so that the second one starts from nothing.
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert resource["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_dynamodb_protects_the_tables_that_survive_if_it_is_asked_to(template):
    tables = {name: each for name, each in template["Resources"].items() if each["Type"] == "AWS::DynamoDB::Table"}
    protected = {name: each["Properties"].get("DeletionProtectionEnabled") for name, each in tables.items()}
    asked = {"Ref": "DeletionProtection"}
    assert protected == {"UsersTable": asked, "ChatsTable": asked, "MessagesTable": asked, "ConnectionsTable": None}


@pytest.mark.parametrize(
    ("function", "parameter"),
    [("GenerateFunction", "WorkerConcurrency"), ("DeliverFunction", "DeliverConcurrency")],
)
def test_concurrency_is_reserved_only_on_request(function, parameter):
    """A small account refuses any number, and Lambda takes 0 for "never run"."""
    assert read(TEMPLATE).functions[function].reserved_concurrency is None
    assert read(TEMPLATE, {parameter: "0"}).functions[function].reserved_concurrency is None
    assert read(TEMPLATE, {parameter: "7"}).functions[function].reserved_concurrency == 7


def test_the_worker_has_the_memory_and_the_stage_the_throttle_that_are_set():
    given = {"WorkerMemory": "2048", "SocketThrottleRate": "5", "SocketThrottleBurst": "9"}
    template = read(TEMPLATE, given)
    assert template.functions["GenerateFunction"].memory == 2048
    assert template.websocket_apis[0].stages[0].throttle == Throttle(5, 9)
    assert read(TEMPLATE).websocket_apis[0].stages[0].throttle == Throttle(500, 1000)


def test_the_throttle_of_handshakes_bounds_the_greetings_at_once():
    """Greetings of abandoned handshakes fill a quarter of an account's usual 1,000 environments at most."""
    handshakes = read(TEMPLATE).websocket_apis[0].stages[0].throttle.rate
    assert handshakes * (GREETING_SECONDS + 0.05) <= 250


def test_the_function_that_acknowledges_a_message_has_ended_when_its_reply_is_held_no_longer(template):
    assert template["Resources"]["DefaultFunction"]["Properties"]["Timeout"] == DEFAULT_SECONDS < HOLD_SECONDS


def test_tables_are_paid_on_demand(template):
    tables = [each for each in template["Resources"].values() if each["Type"] == "AWS::DynamoDB::Table"]

    assert len(tables) == 4
    assert all(table["Properties"]["BillingMode"] == "PAY_PER_REQUEST" for table in tables)


def test_no_variable_is_one_that_lambda_keeps_for_itself(template):
    for name in FUNCTIONS:
        assert not variables(template, name) & RESERVED_BY_LAMBDA


def test_the_declared_variables_are_those_that_are_read(template):
    # These are read by the libraries: Powertools, and all that send requests.
    by_libraries = {"POWERTOOLS_SERVICE_NAME", "HTTPS_PROXY", "NO_PROXY"}
    declared = {variable for name in FUNCTIONS for variable in variables(template, name)}

    assert declared - by_libraries == variables_read() - RESERVED_BY_LAMBDA


def variables_read() -> set[str]:
    """Return the texts in `handlers` that look like the name of a variable and are an argument of a call.

    A name without `_` is one if the call reads an environment.
    """
    return {
        argument.value
        for module in (ROOT / "handlers").rglob("*.py")
        for call in ast.walk(ast.parse(module.read_text()))
        if isinstance(call, ast.Call)
        for argument in call.args
        if isinstance(argument, ast.Constant)
        and (name := str(argument.value)).isascii()
        and re.fullmatch(r"[A-Z]+(_[A-Z]+)*", name)
        and ("_" in name or (ast.unparse(call.func).endswith("environ.get") and argument is call.args[0]))
    }
