"""The roles that the emulator reads from a template, compared with those in the template as SAM transforms it."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from parley.template.model import Role
from parley.template.reader import read
from parley.template.roles import policy_templates
from parley.template.source import load

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-sam" / "bin" / "python"
TRANSFORM = """
import json, sys
from samtranslator.policy_template_processor.processor import PolicyTemplatesProcessor
from samtranslator.translator.transform import transform

class Policies:
    def load(self):
        return {"AmazonSQSFullAccess": "arn:aws:iam::aws:policy/AmazonSQSFullAccess"}

for question in map(json.loads, sys.stdin):
    if question is None:
        answer = PolicyTemplatesProcessor._read_json(PolicyTemplatesProcessor.DEFAULT_POLICY_TEMPLATES_FILE)
    else:
        answer = transform(question["template"], question["parameters"], Policies())
    print(json.dumps(answer), flush=True)
"""

EVERYTHING = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Own: {Type: String, Default: "false"}
  Traced: {Type: String, Default: Active}
Conditions:
  HasOwn: !Equals [!Ref Own, "true"]
Globals:
  Function: {CodeUri: ., Handler: app.handler, Runtime: python3.13}
Resources:
  Api: {Type: AWS::Serverless::HttpApi}
  Plain:
    Type: AWS::Serverless::Function
    Properties:
      Events: {Any: {Type: HttpApi, Properties: {ApiId: !Ref Api}}}
  Full:
    Type: AWS::Serverless::Function
    Properties:
      Tracing: !Ref Traced
      VpcConfig: {SubnetIds: [subnet-1], SecurityGroupIds: [sg-1]}
      DeadLetterQueue: {Type: SNS, TargetArn: !Ref News}
      AutoPublishAlias: live
      PermissionsBoundary: !Ref Limit
      EventInvokeConfig:
        DestinationConfig:
          OnSuccess: {Type: SQS, Destination: !GetAtt Jobs.Arn}
          OnFailure: {Type: Lambda, Destination: !GetAtt Plain.Arn}
      Events:
        Jobs: {Type: SQS, Properties: {Queue: !GetAtt Jobs.Arn}}
        Table: {Type: DynamoDB, Properties: {Stream: !Sub "${Rows}/stream/b", StartingPosition: LATEST}}
        Stream: {Type: Kinesis, Properties: {Stream: arn:aws:kinesis:us-east-1:1:stream/a, StartingPosition: LATEST}}
      Policies:
        - AmazonSQSFullAccess
        - !Ref Limit
        - !If [HasOwn, !Ref Limit, !Ref AWS::NoValue]
        - !If [HasOwn, {Statement: [{Effect: Deny, Action: "*", Resource: "*"}]}, !Ref AWS::NoValue]
        - SQSPollerPolicy: {QueueName: !GetAtt Jobs.QueueName}
        - Statement:
            - Effect: Allow
              NotAction: iam:*
              Resource: [!GetAtt Jobs.Arn, !Sub "${Jobs.Arn}-2"]
              Condition: {StringEquals: {"aws:RequestedRegion": !Ref AWS::Region}}
  Chosen:
    Type: AWS::Serverless::Function
    Properties:
      Role: !If [HasOwn, !GetAtt Declared.Arn, !Ref AWS::NoValue]
      Policies: [{DynamoDBCrudPolicy: {TableName: !Ref Rows}}]
  Declared:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {}
      Policies: [{PolicyName: a, PolicyDocument: {Statement: [{Effect: Allow, Action: "sqs:*", Resource: "*"}]}}]
  More:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: more
      Roles: [!Ref PlainRole]
      PolicyDocument: {Statement: [{Effect: Allow, Action: lambda:InvokeFunction, Resource: !GetAtt Full.Arn}]}
  Limit:
    Type: AWS::IAM::ManagedPolicy
    Properties: {PolicyDocument: {Statement: [{Effect: Allow, Action: "*", Resource: "*"}]}}
  Jobs: {Type: AWS::SQS::Queue}
  News: {Type: AWS::SNS::Topic}
  Rows: {Type: AWS::Serverless::SimpleTable}
"""


@pytest.fixture(scope="module")
def ask_sam() -> Iterator[Callable[[object], dict]]:
    """Asks SAM, in a process that answers line by line: its import takes longer than all answers."""
    assert PYTHON.exists(), "no SAM CLI in .venv-sam: run make test"
    process = subprocess.Popen(
        [PYTHON, "-c", TRANSFORM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"AWS_DEFAULT_REGION": "us-east-1"},
    )

    def ask(question: object) -> dict:
        print(json.dumps(question), file=process.stdin, flush=True)
        return json.loads(process.stdout.readline())

    yield ask
    process.communicate()
    assert process.returncode == 0


def transformed(ask_sam: Callable[[object], dict], path: Path, parameters: dict[str, str], folder: Path) -> Path:
    """Transform a template as SAM does, and give each function code that the emulator finds."""
    template = load(path.read_text())
    for resource in (template.get("Globals", {}).get("Function", {}), *template["Resources"].values()):
        properties = resource.get("Properties", resource)
        if "CodeUri" in properties:
            properties["CodeUri"] = "s3://bucket/key"
    result = ask_sam({"template": template, "parameters": parameters})
    for resource in result["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            resource["Properties"] |= {"Code": {"ZipFile": "pass"}, "Handler": "index.handler"}
    # SAM writes the routes of an HTTP API as OpenAPI, which the emulator does not read; it asks for one API at least.
    result["Resources"]["AnApi"] = {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"ProtocolType": "WEBSOCKET"}}
    written = folder / "transformed.json"
    written.write_text(json.dumps(result))
    return written


def plain(role: Role) -> tuple[set[str], set[str], str]:
    """Return what a role allows, in no order: statements, managed policies, boundary."""
    statements = {json.dumps(each, sort_keys=True) for policy in role.policies for each in policy["Statement"]}
    managed = {arn.rpartition("/")[2] for arn in role.managed}
    return statements, managed, json.dumps(role.boundary)


@pytest.mark.parametrize(
    ("template", "parameters"),
    [
        ("infra/template.yaml", {"JwtSecret": "s" * 32, "OpenAiApiKey": "k"}),
        ("infra/template.yaml", {"JwtSecret": "ssm:/jwt", "OpenAiApiKey": "secretsmanager:openai"}),
        ("tests/emulator/conformance/template.yaml", {}),
        (EVERYTHING, {"Own": "false"}),
        (EVERYTHING, {"Own": "true", "Traced": "Disabled"}),
    ],
    ids=["ours", "ours with kept secrets", "conformance", "everything", "everything else"],
)
def test_the_emulator_reads_the_roles_that_sam_makes(ask_sam, tmp_path, template, parameters):
    path = ROOT / template
    if template is EVERYTHING:
        path = tmp_path / "template.yaml"
        path.write_text(template)
        (tmp_path / "app.py").touch()
    ours = read(path, parameters).roles
    theirs = read(transformed(ask_sam, path, parameters, tmp_path), parameters).roles

    assert ours.keys() == theirs.keys()
    for function, role in ours.items():
        assert not role.unknown
        assert plain(role) == plain(theirs[function]), function


def test_every_policy_template_of_sams_is_known_and_the_same(ask_sam, tmp_path):
    theirs = ask_sam(None)["Templates"]
    assert policy_templates().keys() == theirs.keys()

    for name, template in theirs.items():
        values = {parameter: f"the-{parameter}" for parameter in template["Parameters"]}
        definition = json.loads(_with_values(json.dumps(template["Definition"]), values))
        by_name, spelled_out = (_role_with(policy, tmp_path / name) for policy in ({name: values}, definition))
        assert by_name == spelled_out, name


def _with_values(definition: str, values: dict[str, str]) -> str:
    for parameter, value in values.items():
        definition = definition.replace(json.dumps({"Ref": parameter}), json.dumps(value))
    return definition


def _role_with(policy: dict, path: Path) -> tuple[set[str], set[str], str]:
    worker = {"CodeUri": ".", "Handler": "app.handler", "Policies": [policy]}
    worker["Events"] = {"Any": {"Type": "HttpApi", "Properties": {"ApiId": {"Ref": "Api"}}}}
    resources = {
        "Api": {"Type": "AWS::Serverless::HttpApi"},
        "Worker": {"Type": "AWS::Serverless::Function", "Properties": worker},
    }
    path.write_text(json.dumps({"Transform": "AWS::Serverless-2016-10-31", "Resources": resources}))
    return plain(read(path).roles["Worker"])
