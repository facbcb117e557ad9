"""CloudFormation's own resources are read, and a broken template is an error and nothing worse."""

from __future__ import annotations

import copy
import json
import random
from functools import cache
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner
from parley.account import secret_arn
from parley.cli.main import main
from parley.template.model import (
    Authorizer,
    HttpRoute,
    InvokeConfig,
    LambdaIntegration,
    MockIntegration,
    Parameter,
    Queue,
    Secret,
    Stage,
    Throttle,
)
from parley.template.reader import read
from parley.template.source import TemplateError, load

TEMPLATES = Path(__file__).parents[2] / "emulator" / "templates"
OURS = Path(__file__).parents[3] / "infra" / "template.yaml"
KINDS = {
    "sam": TEMPLATES / "sam" / "template.yaml",
    "cloudformation": TEMPLATES / "cloudformation" / "template.yaml",
    "cdk": TEMPLATES / "cdk" / "Stack.template.json",
}


@pytest.fixture
def template(tmp_path):
    """Write a template with an API of one route and the given resources; return its path."""
    (tmp_path / "code").mkdir()

    def write(resources, before=""):
        text = """
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties: {RouteSelectionExpression: $request.body.a, Routes: {$default: {FunctionArn: !GetAtt F.Arn}}}
  F: {Type: AWS::Serverless::Function, Properties: {Handler: app.f, CodeUri: code}}
"""
        path = tmp_path / "template.yaml"
        path.write_text(dedent(before) + text + "".join(f"  {line}\n" for line in dedent(resources).splitlines()))
        return path

    return write


class TestKinds:
    @pytest.mark.parametrize("kind", KINDS)
    def test_each_is_understood_to_the_last_word(self, kind):
        assert read(KINDS[kind]).notes == ()

    def test_sams_authorizer_route_response_and_simple_table(self):
        found = read(KINDS["sam"])
        [api] = found.websocket_apis
        assert api.routes["$connect"].authorizer == Authorizer(
            "ChatAuthorizer", "Authorize", identity_sources=("route.request.querystring.token",)
        )
        assert [key for key, route in api.routes.items() if route.responds] == ["whoami"]
        assert found.tables[0].definition["KeySchema"] == [{"AttributeName": "connectionId", "KeyType": "HASH"}]

    def test_cloudformations_stages_aliases_queues_parameters_and_conditions(self):
        found = read(KINDS["cloudformation"])
        echo, mock = found.websocket_apis
        assert echo.stages == (Stage("development", {"function": "echo"}, Throttle(100, 50)),)
        assert echo.routes["text/echo"].integration == LambdaIntegration("EchoFunction", "live")
        assert echo.routes["$default"].integration == LambdaIntegration("QueueFunction", timeout=5.0)
        assert "prod" not in echo.routes
        assert isinstance(mock.routes["ping"].integration, MockIntegration)
        assert found.functions["EchoFunction"].aliases == {"live": "1"}
        assert found.functions["EchoFunction"].environment == {"GREETING": "hello"}
        assert (found.functions["EchoFunction"].code / "index.py").is_file()
        assert found.parameters == (Parameter("/echo/greeting", "hello"),)
        assert [queue.name for queue in found.queues] == ["DeadMessages", "Messages"]

    def test_a_parameter_leads_to_another_stage_and_a_conditional_route(self):
        [echo, _] = read(KINDS["cloudformation"], {"Environment": "prod"}).websocket_apis
        assert (echo.stages[0].name, "prod" in echo.routes) == ("production", True)

    def test_cdks_assets_are_the_code(self):
        found = read(KINDS["cdk"])
        [api] = found.websocket_apis
        assert {function.code.name for function in found.functions.values()} == {"asset.4f1a"}
        assert api.routes["$connect"].authorizer.identity_sources == ("route.request.header.Authorization",)


class TestFunctions:
    def test_with_auto_publish_alias_the_invoke_configuration_is_the_aliass(self, template):
        path = template("""
            G:
              Type: AWS::Serverless::Function
              Properties:
                Handler: app.f
                CodeUri: code
                AutoPublishAlias: live
                EventInvokeConfig: {MaximumRetryAttempts: 0}
                ReservedConcurrentExecutions: 3
                Environment: {Variables: {ME: !Ref G.Alias, OTHER: !Ref GAliaslive}}
        """)
        function = read(path).functions["G"]
        assert function.aliases == {"live": "1"}
        assert (function.invoke_config("live").retries, function.invoke_config()) == (0, InvokeConfig())
        assert function.reserved_concurrency == 3
        assert function.environment["ME"].endswith(":function:G:live")
        assert function.environment["OTHER"] == function.environment["ME"]

    @pytest.mark.parametrize(
        ("config", "expected"),
        [
            ("{}", ("Text", "INFO", "")),
            ("{LogFormat: JSON}", ("JSON", "INFO", "")),
            ("{LogFormat: JSON, ApplicationLogLevel: DEBUG, LogGroup: mine}", ("JSON", "DEBUG", "mine")),
            ("{LogFormat: Text}", ("Text", "INFO", "")),
        ],
    )
    @pytest.mark.parametrize("kind", ["AWS::Serverless::Function", "AWS::Lambda::Function"])
    def test_the_logging_of_a_function_is_read(self, template, kind, config, expected):
        code = "CodeUri" if kind == "AWS::Serverless::Function" else "Code"
        properties = f"{{Runtime: python3.13, Handler: a.b, {code}: code, LoggingConfig: {config}}}"
        path = template(f"G: {{Type: {kind}, Properties: {properties}}}")
        function = read(path).functions["G"]
        assert (function.log_format, function.log_level, function.log_group) == expected
        assert function.runtime == "python3.13"

    def test_layers_of_the_template_are_folders_others_are_noted(self, template):
        path = template("""
            L: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: code}}
            G:
              Type: AWS::Serverless::Function
              Properties: {Handler: a.b, CodeUri: code, Layers: [!Ref L, "arn:aws:lambda:us-east-1:1:layer:x:3"]}
        """)
        assert [layer.name for layer in read(path).functions["G"].layers] == ["code"]
        assert any("the layer arn:aws:lambda:us-east-1:1:layer:x:3 is not in" in note for note in read(path).notes)

    @pytest.mark.parametrize(
        ("properties", "note"),
        [
            (
                "{Runtime: java21, Handler: a.b, CodeUri: code}",
                "`G`: the runtime java21 does not run here, but python*, nodejs* and provided* do; "
                "the function is ignored.",
            ),
            ("{PackageType: Image}", "`G`: container images are not emulated; the function is ignored."),
            ("{Runtime: python3.12, Handler: a.b, CodeUri: s3://b/k}", None),
        ],
    )
    def test_a_function_that_cannot_run_here_is_left_out(self, template, properties, note):
        path = template(f"G: {{Type: AWS::Serverless::Function, Properties: {properties}}}")
        if note is None:
            with pytest.raises(TemplateError, match="Correct its CodeUri"):
                read(path)
            return
        assert list(read(path).functions) == ["F"]
        assert any(note in said for said in read(path).notes)

    def test_code_in_s3_is_said_to_be_elsewhere(self, template):
        path = template("""
            G:
              Type: AWS::Lambda::Function
              Properties: {Runtime: python3.12, Handler: a.b, Code: {S3Bucket: b, S3Key: k}}
        """)
        assert any("`G`: the code is in S3; the function is ignored." in note for note in read(path).notes)


class TestApis:
    def test_a_raw_http_api_has_its_routes_and_its_payload_format(self, template):
        path = template("""
            Web: {Type: AWS::ApiGatewayV2::Api, Properties: {ProtocolType: HTTP, Name: web}}
            I:
              Type: AWS::ApiGatewayV2::Integration
              Properties: {ApiId: !Ref Web, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt F.Arn}
            R:
              Type: AWS::ApiGatewayV2::Route
              Properties: {ApiId: !Ref Web, RouteKey: GET /x, Target: !Sub "integrations/${I}"}
            S: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Web, StageName: v1}}
        """)
        [api] = read(path).http_apis
        assert (api.stage, api.routes) == ("v1", (HttpRoute("GET", "/x", "F", payload="1.0"),))

    def test_an_openapi_definition_is_said_not_to_be_read(self, template):
        path = template("""
            Web: {Type: AWS::Serverless::HttpApi, Properties: {DefinitionBody: {openapi: 3.0.1}}}
        """)
        assert [note.partition(": ")[2] for note in read(path).notes] == [
            "`Web`: the OpenAPI definition is not read; its routes are ignored."
        ]

    def test_a_stage_variable_may_name_the_function(self, template):
        path = template("""
            Raw: {Type: AWS::ApiGatewayV2::Api, Properties: {ProtocolType: WEBSOCKET, RouteSelectionExpression: x}}
            S: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Raw, StageName: s, StageVariables: {fn: F}}}
            I:
              Type: AWS::ApiGatewayV2::Integration
              Properties:
                ApiId: !Ref Raw
                IntegrationType: AWS_PROXY
                IntegrationUri: arn:x:functions/arn:aws:lambda:us-east-1:1:function:${stageVariables.fn}/invocations
            R:
              Type: AWS::ApiGatewayV2::Route
              Properties: {ApiId: !Ref Raw, RouteKey: x, Target: !Sub "integrations/${I}"}
        """)
        assert read(path).websocket_apis[1].routes["x"].integration == LambdaIntegration("F")

    def test_a_reference_that_leads_nowhere_is_noted_with_its_line(self, template):
        path = template("""
            Raw:
              Type: AWS::ApiGatewayV2::Api
              Properties: {ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.x}
            R: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Raw, RouteKey: x, Target: integrations/none}}
        """)
        lines = path.read_text().splitlines()
        notes = read(path).notes
        assert any("`Raw`: the route `x` leads to nothing that is emulated; its messages" in note for note in notes)
        assert any("`Raw`: the API has no stage; it gets one with the name `default`." in note for note in notes)
        for note in notes:
            number = int(note.removeprefix(f"{path}:").partition(":")[0])
            assert lines[number - 1].strip().startswith(("Raw:", "R:", "Properties: {Proto"))

    def test_unknown_resources_are_said_once_for_each_type_and_silent_where_they_mean_nothing(self, template):
        path = template("""
            A: {Type: AWS::Kinesis::Stream}
            B: {Type: AWS::Kinesis::Stream}
            C: {Type: AWS::IAM::Role}
            D: {Type: AWS::Lambda::Permission}
            E: {Properties: {}}
        """)
        said = [note.partition(": ")[2] for note in read(path).notes]
        assert said == [
            "`A`: `AWS::Kinesis::Stream` is not emulated; ignored.",
            "`E`: the resource has no Type; ignored.",
        ]


class TestValues:
    def test_values_of_the_parameter_store_and_of_other_stacks(self, template):
        path = template("""
            P: {Type: AWS::SSM::Parameter, Properties: {Name: /p, Value: found}}
            G:
              Type: AWS::Serverless::Function
              Properties:
                Handler: a.b
                CodeUri: code
                Environment:
                  Variables:
                    {A: "{{resolve:ssm:/p}}", B: !ImportValue other, C: !GetAtt P.Value, D: "{{resolve:ssm:/q:1}}"}
        """)
        found = read(path, imports={"other": "imported"})
        assert found.functions["G"].environment == {"A": "found", "B": "imported", "C": "found", "D": ""}
        assert [note.partition(": ")[2] for note in found.notes] == [
            "`G`: `{{resolve:ssm:/q:1}}` is not known; the value is empty."
        ]

    def test_values_of_secrets(self, template):
        path = template("""
            S:
              Type: AWS::SecretsManager::Secret
              Properties: {Name: app/s, SecretString: '{"user": "ann", "port": 1}'}
            T: {Type: AWS::SecretsManager::Secret, Properties: {GenerateSecretString: {}, KmsKeyId: alias/mine}}
            U: {Type: AWS::SecretsManager::Secret, Properties: {Description: none yet}}
            G:
              Type: AWS::Serverless::Function
              Properties:
                Handler: a.b
                CodeUri: code
                Environment:
                  Variables:
                    A: !Ref S
                    B: !GetAtt S.Id
                    C: "{{resolve:secretsmanager:app/s}}"
                    D: "{{resolve:secretsmanager:app/s:SecretString:user}}"
                    E: !Sub "{{resolve:secretsmanager:${S}:SecretString:port}}"
                    F: !Join ["", ["{{resolve:secretsmanager:", !Ref T, "}}"]]
                    G: "{{resolve:secretsmanager:app/s:SecretString:none}}"
                    H: "{{resolve:secretsmanager:elsewhere}}"
        """)
        found = read(path, seed=lambda: "seed")
        given, generated, bare = found.secrets
        assert (given, bare) == (Secret("app/s", '{"user": "ann", "port": 1}'), Secret("U", ""))
        assert (generated.name, len(generated.value), generated.key) == ("T", 32, "alias/mine")
        assert found.functions["G"].environment == {
            **dict.fromkeys("AB", secret_arn("app/s")),
            "C": given.value,
            "D": "ann",
            "E": "1",
            "F": generated.value,
            "G": "",
            "H": "",
        }
        assert [note.partition(": ")[2] for note in found.notes] == [
            "`G`: `{{resolve:secretsmanager:app/s:SecretString:none}}` is not known; the value is empty.",
            "`G`: `{{resolve:secretsmanager:elsewhere}}` is not known; the value is empty.",
        ]
        assert read(path, seed=lambda: "seed").secrets == found.secrets
        assert read(path, seed=lambda: "other").secrets[1].value != generated.value

    def test_a_value_that_leads_back_to_itself_is_noted(self, template):
        path = template("""
            P: {Type: AWS::SSM::Parameter, Properties: {Name: /p, Value: "{{resolve:ssm:/p}}"}}
            S: {Type: AWS::SecretsManager::Secret, Properties: {Name: s, SecretString: "{{resolve:secretsmanager:s}}"}}
        """)
        assert [note.partition(": ")[2] for note in read(path).notes] == [
            "`P`: `{{resolve:ssm:/p}}` leads back to itself; the value is empty.",
            "`S`: `{{resolve:secretsmanager:s}}` leads back to itself; the value is empty.",
        ]

    def test_a_secret_that_cannot_be_generated_is_noted(self, template):
        path = template("""
            S: {Type: AWS::SecretsManager::Secret, Properties: {GenerateSecretString: {PasswordLength: 3}}}
        """)
        found = read(path)
        assert found.secrets == (Secret("S", ""),)
        assert [note.partition(": ")[2] for note in found.notes] == [
            "`S`: PasswordLength must be a number from 4 to 4096. AWS refuses this; the secret is empty."
        ]

    def test_an_option_that_is_not_known_is_noted(self, template):
        path = template("""
            S: {Type: AWS::SecretsManager::Secret, Properties: {GenerateSecretString: {Other: 1}}}
        """)
        assert [note.partition(": ")[2] for note in read(path).notes] == [
            "`S.GenerateSecretString`: `Other` is not emulated; ignored."
        ]

    def test_a_queue_has_the_attributes_of_create_queue(self, template):
        path = template("""
            Q: {Type: AWS::SQS::Queue, Properties: {QueueName: q.fifo, FifoQueue: true, DelaySeconds: 5, Tags: []}}
        """)
        assert read(path).queues == (Queue("q.fifo", {"FifoQueue": "true", "DelaySeconds": "5"}),)

    def test_a_cycle_of_conditions_is_noted(self, template):
        before = "Conditions: {A: !Condition B, B: !Condition A}"
        assert any(
            "has invalid arguments" in note
            for note in read(template("Q: {Type: AWS::SQS::Queue, Condition: A}", before)).notes
        )


def read_or_refused(path):
    """Return what is read from a template, or the text of its refusal, which names it."""
    try:
        return read(path)
    except TemplateError as error:
        text = str(error)
    assert str(path) in text
    return text


@cache
def _as_json(source):
    """The content of a template. JSON is read a hundred times faster than YAML."""
    return json.dumps(load(source.read_text()))


class TestBroken:
    """Any template is read, or it is one `TemplateError`."""

    @pytest.mark.parametrize("seed", range(300))
    def test_templates_broken_by_chance(self, seed, tmp_path):
        chance = random.Random(seed)
        source = chance.choice([*KINDS.values(), OURS])
        content = json.loads(_as_json(source))
        for _ in range(chance.randint(1, 4)):
            _break(content, chance)
        path = tmp_path / "template.json"
        path.write_text(json.dumps(content))
        for each in source.parent.iterdir():
            if each.is_dir():
                (tmp_path / each.name).symlink_to(each)
        found = read_or_refused(path)
        assert isinstance(found, str) or found.websocket_apis or found.http_apis


JUNK = [
    None,
    "",
    "text",
    7,
    -1,
    True,
    [],
    {},
    [None],
    {"Ref": "Nobody"},
    {"Fn::Sub": 3},
    {"Fn::If": []},
    {"Fn::GetAtt": "x"},
]


def _break(content, chance):
    """Put junk in the place of some value, remove one, or move one elsewhere."""
    places = []

    def visit(node):
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            places.append((node, key))
            visit(value)

    visit(content)
    node, key = chance.choice(places)
    match chance.randint(0, 2):
        case 0:
            node[key] = copy.deepcopy(chance.choice(JUNK))
        case 1:
            del node[key]
        case _:
            other, there = chance.choice(places)
            node[key] = copy.deepcopy(other[there]) if _has(other, there) else None


def _has(node, key):
    return key in node if isinstance(node, dict) else key < len(node)


class TestCommand:
    def test_it_prints_what_was_read_and_what_was_not(self, template):
        path = template("S: {Type: AWS::Kinesis::Stream}")
        result = CliRunner().invoke(main, ["template", "--template", str(path)])
        assert result.exit_code == 0
        assert "WebSocket API Api (/default), routes by $request.body.a" in result.output
        assert "$default         F, 29 s" in result.output
        assert "`S`: `AWS::Kinesis::Stream` is not emulated; ignored." in result.output

    def test_as_json_it_is_for_machines(self):
        result = CliRunner().invoke(main, ["template", "--json", "--template", str(KINDS["sam"])])
        assert set(json.loads(result.output)["functions"]) == {
            "Authorize",
            "OnConnect",
            "OnDisconnect",
            "SendMessage",
            "WhoAmI",
        }

    @pytest.mark.parametrize("option", ["--parameter", "--import"])
    def test_a_parameter_that_is_no_pair_is_refused(self, option):
        result = CliRunner().invoke(main, ["template", option, "alone"])
        assert (result.exit_code, "'alone' is not of the form NAME=VALUE" in result.output) == (2, True)

    def test_no_template_is_one_message(self, tmp_path):
        result = CliRunner().invoke(main, ["template", "--template", str(tmp_path / "none.yaml")])
        assert (result.exit_code, result.output.count("\n")) == (1, 1)
