"""Roles of functions: as SAM generates them, and as the template declares them."""

import pytest
from parley.template.reader import read

BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table"

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Own: {{Type: String, Default: "false"}}
Conditions:
  HasOwn: !Equals [!Ref Own, "true"]
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: .
      Handler: app.handler
      Events: {{Any: {{Type: HttpApi, Properties: {{ApiId: !Ref Api}}}}}}
      {properties}
  Users:
    Type: AWS::Serverless::SimpleTable
  Jobs:
    Type: AWS::SQS::Queue
  {resources}
"""


@pytest.fixture
def role(tmp_path):
    def of(properties="Timeout: 3", resources="Other: {Type: AWS::SQS::Queue}", **parameters):
        path = tmp_path / "template.yaml"
        indented = [text.strip("\n").replace("\n", "\n" + " " * by) for text, by in ((properties, 6), (resources, 2))]
        path.write_text(TEMPLATE.format(properties=indented[0], resources=indented[1]))
        return read(path, parameters).roles["Worker"]

    return of


def documents(role):
    """Return the statements of a role as action and resource."""
    return [(each["Action"], each["Resource"]) for document in role.policies for each in document["Statement"]]


class TestGenerated:
    def test_without_policies_it_writes_logs(self, role):
        found = role()
        assert (found.name, found.managed, found.policies) == ("parley-WorkerRole", (BASIC,), ())

    def test_statements_are_resolved(self, role):
        found = role(
            """
Policies:
  - Statement:
      Effect: Allow
      Action: dynamodb:GetItem
      Resource: !GetAtt Users.Arn
  - Statement: [{Effect: Allow, Action: "sqs:*", Resource: [!GetAtt Jobs.Arn, !Sub "${Users.Arn}/x"]}]
"""
        )
        jobs = "arn:aws:sqs:us-east-1:000000000000:Jobs"
        assert documents(found) == [("dynamodb:GetItem", [f"{TABLE}/Users"]), ("sqs:*", [jobs, f"{TABLE}/Users/x"])]

    def test_a_policy_template_becomes_its_statements(self, role):
        found = role("Policies: [{DynamoDBReadPolicy: {TableName: !Ref Users}}]")
        [(actions, resources)] = documents(found)
        assert {"dynamodb:GetItem", "dynamodb:Query"} <= set(actions)
        assert resources == [f"{TABLE}/Users", f"{TABLE}/Users/index/*"]

    def test_managed_policies_may_be_names_or_arns(self, role):
        found = role("Policies: [AmazonSQSFullAccess, !Sub 'arn:${AWS::Partition}:iam::aws:policy/X']")
        assert found.managed == (BASIC, "AmazonSQSFullAccess", "arn:aws:iam::aws:policy/X")

    @pytest.mark.parametrize(("own", "actions"), [("true", ["sqs:SendMessage"]), ("false", [])])
    def test_a_policy_may_have_a_condition(self, role, own, actions):
        found = role(
            "Policies: [!If [HasOwn, !Ref Sending, !Ref AWS::NoValue]]",
            """
Sending:
  Type: AWS::IAM::ManagedPolicy
  Condition: HasOwn
  Properties:
    PolicyDocument: {Statement: [{Effect: Allow, Action: sqs:SendMessage, Resource: !GetAtt Jobs.Arn}]}
""",
            Own=own,
        )
        assert [action for action, _ in documents(found)] == actions
        assert found.managed == (BASIC,)

    def test_dead_letters_destinations_tracing_and_queues_add_to_it(self, role):
        found = role(
            """
Tracing: Active
VpcConfig: {SubnetIds: [a], SecurityGroupIds: [b]}
DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Jobs.Arn}
EventInvokeConfig:
  DestinationConfig: {OnFailure: {Type: Lambda, Destination: !GetAtt Worker.Arn}}
Policies: AmazonSQSFullAccess
"""
        )
        assert [action for action, _ in documents(found)] == ["sqs:SendMessage", "lambda:InvokeFunction"]
        assert [arn.rpartition("/")[2] for arn in found.managed] == [
            *("AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess", "AWSLambdaVPCAccessExecutionRole"),
            "AmazonSQSFullAccess",
        ]

    def test_a_policy_resource_may_add_to_it(self, role):
        found = role(
            resources="""
More:
  Type: AWS::IAM::Policy
  Properties:
    PolicyName: more
    Roles: [!Ref WorkerRole]
    PolicyDocument: {Statement: {Effect: Allow, Action: lambda:InvokeFunction, Resource: !GetAtt Worker.Arn}}
"""
        )
        assert documents(found) == [
            ("lambda:InvokeFunction", ["arn:aws:lambda:us-east-1:000000000000:function:Worker"])
        ]

    @pytest.mark.parametrize("policy", ["{NoSuchPolicy: {}}", "{DynamoDBReadPolicy: {}, SQSPollerPolicy: {}}"])
    def test_a_policy_that_is_not_known_makes_it_unknown(self, role, policy):
        assert role(f"Policies: [{policy}]").unknown

    def test_a_connector_makes_it_unknown(self, role):
        connector = """
Reads:
  Type: AWS::Serverless::Connector
  Properties: {Source: {Id: Worker}, Destination: {Id: Users}, Permissions: [Read]}
"""
        assert role(resources=connector).unknown
        assert not role().unknown


DECLARED = """
Shared:
  Type: AWS::IAM::Role
  Properties:
    ManagedPolicyArns: [arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole, !Ref Sending]
    Policies:
      - PolicyName: reading
        PolicyDocument: {Statement: {Effect: Allow, Action: dynamodb:GetItem, Resource: !GetAtt Users.Arn}}
    PermissionsBoundary: !Ref Boundary
Attached:
  Type: AWS::IAM::ManagedPolicy
  Properties:
    Roles: [!Ref Shared]
    PolicyDocument: {Statement: {Effect: Deny, Action: dynamodb:DeleteItem, Resource: "*"}}
Sending:
  Type: AWS::IAM::ManagedPolicy
  Properties:
    ManagedPolicyName: sending
    PolicyDocument: {Statement: {Effect: Allow, Action: sqs:SendMessage, Resource: !GetAtt Jobs.Arn}}
Boundary:
  Type: AWS::IAM::ManagedPolicy
  Properties:
    PolicyDocument: {Statement: {Effect: Allow, Action: "*", Resource: "*"}}
"""


class TestDeclared:
    def test_all_that_is_attached_to_it_counts(self, role):
        found = role("Role: !GetAtt Shared.Arn\nPolicies: [AmazonSQSFullAccess]", DECLARED)
        assert [action for action, _ in documents(found)] == [
            "dynamodb:GetItem",
            "sqs:SendMessage",
            "dynamodb:DeleteItem",
        ]
        assert (found.name, found.managed) == ("Shared", (BASIC,))
        assert found.boundary == {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": ["*"]}]}

    @pytest.mark.parametrize(("own", "name"), [("true", "Shared"), ("false", "parley-WorkerRole")])
    def test_a_condition_may_choose_it(self, role, own, name):
        assert role("Role: !If [HasOwn, !GetAtt Shared.Arn, !Ref AWS::NoValue]", DECLARED, Own=own).name == name

    def test_one_outside_of_the_template_is_unknown(self, role):
        found = role("Role: arn:aws:iam::123456789012:role/path/elsewhere")
        assert (found.name, found.unknown) == ("elsewhere", ("it is not in the template",))
