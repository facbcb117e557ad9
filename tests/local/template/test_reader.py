"""Reading a template: what functions, routes and tables come of it, and what is said of what does not."""

import json
from pathlib import Path
from textwrap import dedent
from unittest.mock import ANY

import pytest
from parley.template.model import HttpApi, HttpRoute, InvokeConfig, LambdaIntegration, Route, UnavailableIntegration
from parley.template.reader import read
from parley.template.source import TemplateError

OURS = Path(__file__).parents[3] / "infra" / "template.yaml"

API = """
    Api:
      Type: AWS::Serverless::WebSocketApi
      Properties:
        RouteSelectionExpression: $request.body.action
        Routes:
          $default: {FunctionArn: !GetAtt Echo.Arn}
"""
ECHO = """
    Echo:
      Type: AWS::Serverless::Function
      Properties:
        Handler: app.handler
        CodeUri: code
"""


@pytest.fixture
def template(tmp_path):
    """Write a template with the resources of API and ECHO and those given; return its path."""
    (tmp_path / "code").mkdir()

    def write(resources="", echo="", before="", api=API):
        text = f"{dedent(before)}\nResources:\n{dedent(api)}\n{dedent(ECHO)}"
        path = tmp_path / "template.yaml"
        path.write_text(_indented(text, echo, resources))
        return path

    return write


def _indented(text, echo, resources):
    head, found, tail = text.partition("Resources:\n")
    body = tail + "".join(f"    {line}\n" for line in dedent(echo).splitlines()) + dedent(resources)
    return head + found + "".join(f"  {line}\n" for line in body.splitlines())


def at(path, text):
    """Return the file and line with which notes about this begin."""
    lines = path.read_text().splitlines()
    return f"{path}:{next(number for number, line in enumerate(lines, 1) if text in line)}:"


def environment(path, **given):
    return read(path, **given).functions["Echo"].environment


class TestOurs:
    def test_it_is_understood_to_the_last_word(self):
        assert read(OURS).notes == ()

    def test_it_asks_for_the_chat_page(self):
        assert read(OURS).chat_page

    def test_its_routes_lead_to_its_functions(self):
        (api,) = read(OURS).websocket_apis

        assert (api.stages[0].name, api.route_selection_expression) == ("live", "$request.body.type")
        assert api.routes == {
            "$connect": Route("$connect", LambdaIntegration("ConnectFunction")),
            "$disconnect": Route("$disconnect", LambdaIntegration("DisconnectFunction")),
            "$default": Route("$default", LambdaIntegration("DefaultFunction")),
        }
        assert read(OURS).http_apis == (
            HttpApi("HttpApi", ANY, "$default", (HttpRoute("ANY", "$default", "ApiFunction"),)),
        )

    def test_the_worker_is_as_declared(self):
        worker = read(OURS).functions["GenerateFunction"]

        assert (worker.timeout, worker.memory, worker.handler) == (900, 512, "handlers.generate.handler")
        assert (worker.invoke_config().retries, worker.invoke_config().max_event_age) == (2, 300)
        assert worker.dead_letter.endswith(":GenerateDeadLetterQueue")
        assert worker.invoke_config().on_failure.endswith(":function:GiveUpFunction")
        assert worker.code == OURS.parents[1]
        assert worker.environment["DELIVER_FUNCTION"] == "DeliverFunction"
        assert worker.environment["OPENAI_TEMPERATURE"] == "0.7"
        assert worker.environment["CHATS_TABLE"] == "ChatsTable"

    def test_its_tables_are_as_create_table_takes_them(self):
        tables = {table.name: table for table in read(OURS).tables}

        assert tables["ConnectionsTable"].ttl_attribute == "expiresAt"
        assert tables["ChatsTable"].ttl_attribute is None
        assert tables["ChatsTable"].definition == {
            "TableName": "ChatsTable",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "userId", "AttributeType": "S"},
                {"AttributeName": "chatId", "AttributeType": "S"},
                {"AttributeName": "updatedAt", "AttributeType": "S"},
            ],
            "KeySchema": [
                {"AttributeName": "userId", "KeyType": "HASH"},
                {"AttributeName": "chatId", "KeyType": "RANGE"},
            ],
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "byUpdatedAt",
                    "KeySchema": [
                        {"AttributeName": "userId", "KeyType": "HASH"},
                        {"AttributeName": "updatedAt", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["title"]},
                }
            ],
        }

    def test_a_parameter_takes_the_given_value(self):
        assert read(OURS, {"StageName": "test"}).websocket_apis[0].stages[0].name == "test"


class TestDefaults:
    def test_a_function_that_says_little_gets_what_lambda_gives(self, template):
        function = read(template()).functions["Echo"]

        assert (function.timeout, function.memory) == (3, 128)
        assert (function.invoke_config(), function.dead_letter) == (InvokeConfig(), None)
        assert function.environment == {}

    @pytest.mark.parametrize(
        "metadata", ["", "Metadata: {}", "Metadata: {Parley: no}", "Metadata: {Parley: {ChatPage: no}}"]
    )
    def test_a_template_that_does_not_ask_for_the_chat_page_has_none(self, template, metadata):
        assert not read(template(before=metadata)).chat_page

    def test_an_api_that_names_no_stage_has_the_stage_default(self, template):
        assert read(template()).websocket_apis[0].stages[0].name == "default"

    def test_an_integration_has_29_seconds_and_may_have_fewer(self, template):
        api = API.replace("Echo.Arn}", "Echo.Arn, IntegrationTimeout: 1500}")

        assert read(template()).websocket_apis[0].routes["$default"].integration.timeout == 29
        assert read(template(api=api)).websocket_apis[0].routes["$default"].integration.timeout == 1.5

    def test_a_function_goes_by_the_name_that_it_is_given(self, template):
        read_template = read(template("", echo="FunctionName: !Sub ${AWS::StackName}-echo"), stack="shop")

        assert list(read_template.functions) == ["shop-echo"]
        assert read_template.websocket_apis[0].routes["$default"].integration.function == "shop-echo"

    def test_an_http_event_without_an_api_is_of_the_implicit_one(self, template):
        echo = """
            Events:
              Everything: {Type: HttpApi}
              One: {Type: HttpApi, Properties: {Method: get, Path: "/items/{id}"}}
        """

        assert read(template(echo=echo)).http_apis == (
            HttpApi(
                "ServerlessHttpApi",
                ANY,
                "$default",
                (HttpRoute("ANY", "$default", "Echo"), HttpRoute("GET", "/items/{id}", "Echo")),
            ),
        )


class TestGlobals:
    def test_they_are_merged_as_sam_does(self, template):
        before = """
            Globals:
              Function:
                Timeout: 20
                MemorySize: 256
                Environment:
                  Variables: {SHARED: everywhere, BOTH: shared}
        """
        echo = """
            Timeout: 7
            Environment:
              Variables: {BOTH: own, OWN: here}
        """

        function = read(template(before=before, echo=echo)).functions["Echo"]

        assert (function.timeout, function.memory) == (7, 256)
        assert function.environment == {"SHARED": "everywhere", "BOTH": "own", "OWN": "here"}

    def test_a_list_goes_on_and_an_intrinsic_replaces(self, template):
        before = """
            Conditions: {Never: !Equals [a, b]}
            Globals:
              Function:
                Environment:
                  Variables: {X: shared}
        """
        echo = """
            Environment: !If [Never, !Ref AWS::NoValue, {Variables: {Y: own}}]
        """

        assert environment(template(before=before, echo=echo)) == {"Y": "own"}


BEFORE = """
    Parameters:
      Color: {Type: String, Default: red}
      Count: {Type: Number, Default: 3}
      Flag: {Type: String, Default: true}
      Zones: {Type: CommaDelimitedList, Default: "a, b,c"}
    Mappings:
      Sizes:
        us-east-1: {small: xs}
        eu-west-1: {small: s}
      Lists: [us-east-1]
    Conditions:
      Red: !Equals [!Ref Color, red]
      Blue: !Not [!Condition Red]
      Both: !And [!Condition Red, !Condition Blue]
      Either: !Or [!Condition Red, !Condition Blue]
"""
QUEUE_AND_TABLE = """
    Queue: {Type: AWS::SQS::Queue}
    Items:
      Type: AWS::DynamoDB::Table
      Properties: {TableName: !Sub "${AWS::StackName}-items"}
"""


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("!Ref Color", "red"),
        ("!Ref Count", "3"),
        ("!Ref Flag", "true"),
        ("!Ref AWS::Region", "us-east-1"),
        ("!Ref Echo", "Echo"),
        ("!Ref Items", "parley-items"),
        ("!Ref Queue", "https://sqs.us-east-1.amazonaws.com/000000000000/Queue"),
        ("!GetAtt Echo.Arn", "arn:aws:lambda:us-east-1:000000000000:function:Echo"),
        ("!GetAtt Items.Arn", "arn:aws:dynamodb:us-east-1:000000000000:table/parley-items"),
        ("!GetAtt Queue.Arn", "arn:aws:sqs:us-east-1:000000000000:Queue"),
        ("!GetAtt Queue.QueueName", "Queue"),
        ("{'Fn::GetAtt': [Echo, Arn]}", "arn:aws:lambda:us-east-1:000000000000:function:Echo"),
        (
            "!Sub 'a ${Color} ${!Color} ${Echo.Arn}'",
            "a red ${Color} arn:aws:lambda:us-east-1:000000000000:function:Echo",
        ),
        ("!Sub ['${x}/${Count}', {x: !Join ['-', [p, !Ref Color]]}]", "p-red/3"),
        ("!Join [',', !Ref Zones]", "a,b,c"),
        ("!Select [1, !Ref Zones]", "b"),
        ("!Select [2, !Split ['/', 'x/y/z']]", "z"),
        ("!FindInMap [Sizes, !Ref AWS::Region, small]", "xs"),
        ("!If [Red, yes it is, no]", "yes it is"),
        ("!If [Blue, 'yes', not blue]", "not blue"),
        ("!If [Both, both, not both]", "not both"),
        ("!If [Either, either, neither]", "either"),
        ("true", "true"),
        ("2012-10-17", "2012-10-17"),
    ],
)
def test_intrinsic_functions_are_resolved(template, expression, value):
    path = template(QUEUE_AND_TABLE, f"Environment: {{Variables: {{X: {expression}}}}}", BEFORE)

    assert environment(path)["X"] == value
    assert read(path).notes == ()


def test_a_value_that_is_no_value_is_not_there(template):
    echo = "Environment: {Variables: {X: !If [Blue, x, !Ref AWS::NoValue], Y: 'y'}}"

    assert environment(template(QUEUE_AND_TABLE, echo, BEFORE)) == {"Y": "y"}


def test_a_resource_whose_condition_does_not_hold_is_not_there(template):
    resources = """
        Items: {Type: AWS::DynamoDB::Table, Condition: Blue}
        Others: {Type: AWS::DynamoDB::Table, Condition: Red}
    """

    assert [table.name for table in read(template(resources, before=BEFORE)).tables] == ["Others"]


def test_json_is_read_too_with_tabs(tmp_path):
    (tmp_path / "code").mkdir()
    path = tmp_path / "template.json"
    routes = {"$default": {"FunctionArn": {"Fn::GetAtt": ["Echo", "Arn"]}}}
    api = {"RouteSelectionExpression": "$request.body.action", "Routes": routes}
    resources = {
        "Api": {"Type": "AWS::Serverless::WebSocketApi", "Properties": api},
        "Echo": {"Type": "AWS::Serverless::Function", "Properties": {"Handler": "app.handler", "CodeUri": "code"}},
    }
    path.write_text(json.dumps({"Resources": resources}, indent="\t"))

    assert read(path).websocket_apis[0].routes["$default"].integration.function == "Echo"


def test_an_index_is_what_create_table_knows_of_it_with_numbers_as_numbers(template):
    table = """
        Items:
          Type: AWS::DynamoDB::Table
          Properties:
            KeySchema: [{AttributeName: id, KeyType: HASH}]
            ProvisionedThroughput: {ReadCapacityUnits: !Ref Count, WriteCapacityUnits: 1}
            GlobalSecondaryIndexes:
              - IndexName: byName
                ContributorInsightsSpecification: {Enabled: true}
                ProvisionedThroughput: {ReadCapacityUnits: !Ref Count, WriteCapacityUnits: 2}
    """

    (items,) = read(template(table, before=BEFORE)).tables

    assert items.definition["ProvisionedThroughput"] == {"ReadCapacityUnits": 3, "WriteCapacityUnits": 1}
    assert items.definition["GlobalSecondaryIndexes"] == [
        {"IndexName": "byName", "ProvisionedThroughput": {"ReadCapacityUnits": 3, "WriteCapacityUnits": 2}}
    ]


class TestNotes:
    """Something that is not supported gets a note, and the rest of the template is read."""

    @pytest.mark.parametrize(
        ("expression", "note"),
        [
            ("!Ref Nobody", "`Echo`: `Ref Nobody` refers to nothing in the template; the value is empty."),
            ("!GetAtt Items.Colour", "`Echo`: `Fn::GetAtt Items.Colour` is not known; the value is empty."),
            ("!ImportValue other-stack", "set it with --import other-stack=VALUE"),
            ("{'Fn::Transform': {Name: x}}", "`Echo`: `Fn::Transform` is not supported; the value is empty."),
            ("!Select [9, [a]]", "`Fn::Select` has invalid arguments: [9, ['a']]; the value is empty."),
            ("!FindInMap [Sizes, here, small]", "`Fn::FindInMap` has invalid arguments"),
            ("!FindInMap [Lists, here, small]", "`Fn::FindInMap` has invalid arguments"),
            ("!If [Circle, 'a', 'b']", "has invalid arguments"),
        ],
    )
    def test_a_value_that_cannot_be_resolved_is_empty(self, template, expression, note):
        before = BEFORE + "      Circle: !Condition Circle\n"
        echo = f"Environment: {{Variables: {{X: {expression}, Y: here}}}}"
        path = template(QUEUE_AND_TABLE, echo, before)

        assert environment(path)["Y"] == "here"
        assert environment(path)["X"] in ("", "b")
        assert any(note in said for said in read(path).notes)
        lines = path.read_text().splitlines()
        for said in read(path).notes:
            line = said.removeprefix(f"{path}:").partition(":")[0]
            assert any(name in lines[int(line) - 1] for name in ("Variables", "X:"))

    def test_a_parameter_without_a_value_is_empty(self, template):
        path = template(
            before="Parameters: {Key: {Type: String}, Secret: {Type: String, NoEcho: true}}",
            echo="Environment: {Variables: {KEY: !Ref Key, SECRET: !Ref Secret}}",
        )

        assert environment(path) == {"KEY": "", "SECRET": ""}
        assert read(path).notes == (
            f"{at(path, 'Parameters')} `Key`: the parameter has no default and no value; it is empty.",
        )
        assert environment(path, parameters={"Key": "k", "Secret": "s"}) == {"KEY": "k", "SECRET": "s"}

    def test_a_parameter_that_is_not_declared_is_not_used(self, template):
        path = template()

        assert read(path, {"Color": "red"}).notes == (
            f"{path}: `Color`: the template does not declare this parameter; its value is ignored.",
        )

    @pytest.mark.parametrize("timeout", ["soon", "!Ref Nobody", "[1]"])
    def test_a_number_that_is_none_gets_the_default(self, template, timeout):
        read_template = read(template(echo=f"Timeout: {timeout}"))

        assert read_template.functions["Echo"].timeout == 3
        assert any(
            "`Echo`: `Timeout` is" in note and ", not a number; 3 is used." in note for note in read_template.notes
        )

    def test_a_route_that_leads_nowhere_keeps_its_key(self, template):
        path = template(api=API + "          away: {FunctionArn: !ImportValue elsewhere}\n")

        routes = read(path).websocket_apis[0].routes
        assert list(routes) == ["$default", "away"]
        assert isinstance(routes["away"].integration, UnavailableIntegration)
        assert read(path).notes == (
            f"{at(path, 'away')} `Api`: `Fn::ImportValue elsewhere` needs another stack: "
            "set it with --import elsewhere=VALUE; the value is empty.",
            f"{at(path, 'away')} `Api.Routes.away`: the route leads to no function of the template; "
            "its messages are answered with `Internal server error`.",
        )

    def test_an_event_that_is_not_emulated_is_said(self, template):
        path = template(echo="Events: {Nightly: {Type: Kinesis, Properties: {Stream: s}}}")

        assert read(path).notes == (
            f"{at(path, 'Nightly')} `Echo.Events.Nightly`: events of type Kinesis are not emulated; ignored.",
        )

    @pytest.mark.parametrize(
        "echo",
        ["Environment: nonsense", "Events: [1, 2]", "EventInvokeConfig: 7", "DeadLetterQueue: [x]", "Events: {A: b}"],
    )
    def test_properties_of_the_wrong_kind_do_no_harm(self, template, echo):
        assert read(template(echo=echo)).functions["Echo"].handler == "app.handler"


class TestRefusals:
    """A template that cannot be used is one message: what, where, what next."""

    def test_no_file(self, tmp_path):
        path = tmp_path / "nowhere.yaml"

        with pytest.raises(TemplateError, match="--template") as refusal:
            read(path)
        assert f"Cannot read the template {path}: No such file or directory." in str(refusal.value)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"Resources:\n  A: [1\nB: 2\n", "is not YAML, line 3"),
            (b'{"Resources": {\n"A": 1,\n', "is not YAML, line 3"),
            (b"a: \x00", "is not YAML"),
            (b"\xff\xfe\xfa", "is not UTF-8 text"),
            (b"", "has no Resources"),
            (b"Resources: {}", "has no Resources"),
            (b"[1, 2]", "has no Resources"),
            (b"Resources: {Q: {Type: AWS::SQS::Queue}}", "has no WebSocket API"),
        ],
    )
    def test_no_template(self, tmp_path, content, said):
        path = tmp_path / "template.yaml"
        path.write_bytes(content)

        with pytest.raises(TemplateError) as refusal:
            read(path)
        assert f"The template {path} {said}" in str(refusal.value)
        assert "\n" not in str(refusal.value)

    @pytest.mark.parametrize(
        ("echo", "said"),
        [
            ("Handler: ''", "The function Echo in {path} has no Handler. Give it one."),
            ("CodeUri: ''", "The function Echo in {path} has no CodeUri. Give it one."),
            ("CodeUri: elsewhere", "the code of Echo is in elsewhere, but there is no folder {folder}/elsewhere"),
            ("CodeUri: ../else", "the code of Echo is in ../else, but there is no folder {folder.parent}/else"),
            (f"CodeUri: {'x' * 300}", f"but there is no folder {{folder}}/{'x' * 300}, and no zip"),
            (r'CodeUri: "\0"', "but there is no folder {folder}/"),
        ],
    )
    def test_no_code(self, template, echo, said):
        path = template(echo=echo)

        with pytest.raises(TemplateError) as refusal:
            read(path)
        assert said.format(path=path, folder=path.parent) in str(refusal.value)
