"""IAM on any template: each service refuses in its own way, and only the function whose role lacks the permission."""

import json
from collections.abc import Iterator

import pytest

from tests.support.devices import Device, Emulator
from tests.support.waiting import until

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {CodeUri: ., Handler: app.handler, Timeout: 20}
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: live
      RouteSelectionExpression: $request.body.action
      Routes: {$default: {FunctionArn: !GetAtt Allowed.Arn}}
  Refused:
    Type: AWS::Serverless::Function
    Properties:
      Policies: [{Statement: [{Effect: Deny, Action: dynamodb:DeleteItem, Resource: "*"}]}]
  Allowed:
    Type: AWS::Serverless::Function
    Properties:
      Role: !GetAtt Role.Arn
  Guessing:
    Type: AWS::Serverless::Function
    Properties:
      Policies:
        - Statement:
            - {Effect: Allow, Action: "dynamodb:*", Resource: !Sub "arn:aws:dynamodb:*:*:table/${AWS::StackName}-*"}
            - {Effect: Allow, Action: "sqs:*", Resource: "*", Condition: {StringEquals: {"aws:PrincipalTag/team": a}}}
  Elsewhere:
    Type: AWS::Serverless::Function
    Properties: {Role: "arn:aws:iam::123456789012:role/elsewhere"}
  Role:
    Type: AWS::IAM::Role
    Properties:
      ManagedPolicyArns: [!Sub "arn:${AWS::Partition}:iam::aws:policy/AmazonDynamoDBFullAccess"]
      Policies:
        - PolicyName: all
          PolicyDocument:
            Statement:
              - {Effect: Allow, Action: ["sqs:SendMessage"], Resource: !GetAtt Jobs.Arn}
              - {Effect: Allow, Action: ["ssm:GetParameter"], Resource: "*"}
              - {Effect: Allow, Action: ["secretsmanager:GetSecretValue"], Resource: "*"}
              - {Effect: Allow, Action: ["lambda:InvokeFunction"], Resource: !Sub "${Refused.Arn}*"}
              - {Effect: Allow, Action: ["execute-api:ManageConnections"], Resource: "*"}
              - {Effect: Allow, Action: ["logs:*"], Resource: "*"}
  Rows: {Type: AWS::Serverless::SimpleTable}
  Jobs: {Type: AWS::SQS::Queue}
  Setting: {Type: AWS::SSM::Parameter, Properties: {Name: /app/setting, Type: String, Value: x}}
"""

HANDLER = """
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

def handler(event, context):
    if "service" not in event:
        return {"statusCode": 200}
    client = boto3.client(event["service"], config=Config(retries={"total_max_attempts": 1}))
    try:
        getattr(client, event["method"])(**event["arguments"])
        return "answered"
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return [status, error.response["Error"]["Code"], error.response["Error"]["Message"]]
"""

REGION = "us-east-1:000000000000"
USER = "User: arn:aws:sts::000000000000:assumed-role/parley-RefusedRole/Refused is not authorized to perform"
QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/000000000000/Jobs"

DENIALS = [
    (
        *("dynamodb", "get_item", {"TableName": "Rows", "Key": {"id": {"S": "1"}}}, 400, "AccessDeniedException"),
        f"{USER}: dynamodb:GetItem on resource: arn:aws:dynamodb:{REGION}:table/Rows "
        "because no identity-based policy allows the dynamodb:GetItem action",
    ),
    (
        *("dynamodb", "delete_item", {"TableName": "Rows", "Key": {"id": {"S": "1"}}}, 400, "AccessDeniedException"),
        f"{USER}: dynamodb:DeleteItem on resource: arn:aws:dynamodb:{REGION}:table/Rows "
        "with an explicit deny in an identity-based policy",
    ),
    (
        *("lambda", "invoke", {"FunctionName": "Refused", "Payload": b"{}"}, 403, "AccessDeniedException"),
        f"{USER}: lambda:InvokeFunction on resource: arn:aws:lambda:{REGION}:function:Refused "
        "because no identity-based policy allows the lambda:InvokeFunction action",
    ),
    (
        *("sqs", "send_message", {"QueueUrl": QUEUE_URL, "MessageBody": "x"}, 403, "AccessDenied"),
        f"{USER}: sqs:sendmessage on resource: arn:aws:sqs:{REGION}:Jobs "
        "because no identity-based policy allows the sqs:sendmessage action",
    ),
    (
        *("ssm", "get_parameter", {"Name": "/app/setting"}, 400, "AccessDeniedException"),
        f"{USER}: ssm:GetParameter on resource: arn:aws:ssm:{REGION}:parameter/app/setting "
        "because no identity-based policy allows the ssm:GetParameter action",
    ),
    (
        *("secretsmanager", "get_secret_value", {"SecretId": "key"}, 400, "AccessDeniedException"),
        f"{USER}: secretsmanager:GetSecretValue on resource: arn:aws:secretsmanager:{REGION}:secret:key-?????? "
        "because no identity-based policy allows the secretsmanager:GetSecretValue action",
    ),
]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    folder = tmp_path_factory.mktemp("iam")
    (folder / "template.yaml").write_text(TEMPLATE)
    (folder / "app.py").write_text(HANDLER)
    emulator = Emulator(PARLEY_TEMPLATE=str(folder / "template.yaml"), PARLEY_IAM="enforce", PARLEY_USERS="")
    yield emulator
    emulator.stop()


@pytest.mark.parametrize(
    ("service", "method", "arguments", "status", "code", "message"),
    DENIALS,
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
class TestDenials:
    def test_a_service_refuses_as_on_aws(self, emulator, service, method, arguments, status, code, message):
        assert ask(emulator, "Refused", service, method, arguments) == [status, code, message]

    def test_another_function_may_call_at_the_same_time(
        self, emulator, service, method, arguments, status, code, message
    ):
        answer = ask(emulator, "Allowed", service, method, arguments)
        assert answer == "answered" or answer[1] == "ResourceNotFoundException"


def test_connections_hide_the_account_and_the_connection(emulator):
    device = Device(f"ws://127.0.0.1:{emulator.port}/live")
    status, code, message = ask(
        emulator, "Refused", "apigatewaymanagementapi", "delete_connection", {"ConnectionId": "x"}
    )
    resource = f"arn:aws:execute-api:us-east-1:********0000:{api_of(message)}/live/DELETE/@connections/{{connectionId}}"
    assert (status, code) == (403, "AccessDeniedException")
    assert message == f"{USER}: execute-api:ManageConnections on resource: {resource}"
    device.socket.close()


def ask(emulator: Emulator, function: str, service: str, method: str, arguments: dict) -> object:
    """Let a function make a call, and return what it got."""
    event = {"service": service, "method": method, "arguments": arguments}
    payload = json.dumps(event, default=bytes.decode)
    return json.load(emulator.client("lambda").invoke(FunctionName=function, Payload=payload)["Payload"])


def api_of(message: str) -> str:
    return message.partition("********0000:")[2].partition("/")[0]


def test_a_developer_may_do_everything(emulator):
    assert emulator.client("dynamodb").get_item(TableName="Rows", Key={"id": {"S": "1"}})


def test_a_transaction_needs_the_permission_of_each_item(emulator):
    items = [{"Put": {"TableName": "Rows", "Item": {"id": {"S": "1"}}}}]
    arguments = {"TransactItems": items}
    assert "dynamodb:PutItem" in ask(emulator, "Refused", "dynamodb", "transact_write_items", arguments)[2]
    assert ask(emulator, "Allowed", "dynamodb", "transact_write_items", arguments) == "answered"


def test_a_policy_may_name_resources_as_cloudformation_does(emulator):
    arguments = {"TableName": "Rows", "Key": {"id": {"S": "1"}}}
    assert ask(emulator, "Guessing", "dynamodb", "get_item", arguments) == "answered"


def test_what_is_not_known_allows_and_is_said_once(emulator):
    message = {"QueueUrl": QUEUE_URL, "MessageBody": "x"}
    assert ask(emulator, "Guessing", "sqs", "send_message", message) == "answered"
    assert ask(emulator, "Elsewhere", "sqs", "send_message", message) == "answered"
    notes = [line for line in emulator.output if " note " in line and "IAM" in line]
    assert len([line for line in notes if "aws:PrincipalTag/team is unknown" in line]) == 1
    assert len([line for line in notes if "Elsewhere" in line and "allows everything" in line]) == 1


def test_a_missing_permission_is_logged_once(emulator):
    for _ in range(2):
        ask(emulator, "Refused", "dynamodb", "scan", {"TableName": "Rows"})
    until(lambda: [line for line in emulator.output if "dynamodb:Scan" in line])
    [line] = [line for line in emulator.output if "dynamodb:Scan" in line]
    assert 'Add to the role parley-RefusedRole: {"Effect": "Allow", "Action": "dynamodb:Scan"' in line


def test_a_dynamodb_elsewhere_is_guarded_too(emulator, tmp_path):
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "app.py").write_text(HANDLER)
    variables = {"PARLEY_TEMPLATE": str(tmp_path / "template.yaml"), "PARLEY_DYNAMODB": emulator.dynamodb_url}
    other = Emulator(PARLEY_IAM="enforce", PARLEY_USERS="", **variables)
    arguments = {"TableName": "Rows", "Key": {"id": {"S": "1"}}}
    assert ask(other, "Refused", "dynamodb", "get_item", arguments)[1] == "AccessDeniedException"
    assert ask(other, "Allowed", "dynamodb", "get_item", arguments) == "answered"
    other.stop()
