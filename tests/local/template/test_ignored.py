"""Properties that the emulator ignores: each is said once, with its line, and none vanishes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from textwrap import dedent

import pytest
from parley.template.reader import read
from parley.template.source import load
from parley.template.usage import WITHOUT_EFFECT

ROOT = Path(__file__).parents[3]
TEMPLATES = ROOT / "tests" / "emulator"
SOURCES = [
    ROOT / "infra" / "template.yaml",
    TEMPLATES / "templates" / "sam" / "template.yaml",
    TEMPLATES / "templates" / "cloudformation" / "template.yaml",
    TEMPLATES / "templates" / "cdk" / "Stack.template.json",
    TEMPLATES / "conformance" / "template.yaml",
]
TEMPLATE = """
    Resources:
      Api:
        Type: AWS::Serverless::WebSocketApi
        Properties: {RouteSelectionExpression: $request.body.a, Routes: {$default: {FunctionArn: !GetAtt F.Arn}}}
      F:
        Type: AWS::Serverless::Function
        Properties:
          Handler: app.f
"""


@pytest.fixture
def said(tmp_path):
    """Read a template with these properties of its function; return the notes without the path."""

    def notes(properties="", resources="", before=""):
        path = tmp_path / "template.yaml"
        own = "".join(f"      {line}\n" for line in dedent(properties).strip().splitlines())
        others = "".join(f"  {line}\n" for line in dedent(resources).strip().splitlines())
        path.write_text(dedent(before) + dedent(TEMPLATE).lstrip() + own + others)
        return [note.removeprefix(f"{path}:") for note in read(path).notes]

    return notes


@pytest.mark.parametrize(
    ("properties", "notes"),
    [
        ("SnapStart: {ApplyOn: None}", ["9: `F`: `SnapStart` is not emulated; ignored."]),
        ("TimeOut: 5", ["9: `F`: `TimeOut` is not emulated; ignored."]),
        ("FileSystemConfigs: [{Arn: x}]", ["9: `F`: `FileSystemConfigs` is not emulated; ignored."]),
        ("VpcConfig: {SubnetIds: [x]}", ["9: `F`: `VpcConfig` is not emulated; ignored."]),
        (
            "Events: {Web: {Type: HttpApi, Properties: {Path: /, Method: get, Auth: {Authorizer: x}}}}",
            ["9: `F.Events.Web.Properties`: `Auth` is not emulated; ignored."],
        ),
        (
            "Environment: {Variables: {X: [a, b]}}",
            ["9: `F.Environment.Variables`: `X` is a list, not a text; ignored."],
        ),
        ("Environment: {Variables: [a]}", ["9: `F.Environment`: `Variables` is a list, not a mapping; ignored."]),
        ("Events: [1]", ["9: `F`: `Events` is a list, not a mapping; ignored."]),
        ("Events: 7", ["9: `F`: `Events` is a text, not a mapping; ignored."]),
        ("Layers: [{A: b}]", ["9: `F`: `Layers` has a mapping, not a text; ignored."]),
        ("Timeout: [1]", ["9: `F`: `Timeout` is [1], not a number; 3 is used."]),
        ("Timeout: nan", ["9: `F`: `Timeout` is 'nan', not a number; 3 is used."]),
        ("Timeout: 1e999", ["9: `F`: `Timeout` is '1e999', not a number; 3 is used."]),
    ],
)
def test_what_is_ignored_is_said_with_its_line(said, properties, notes):
    assert said(properties) == notes


@pytest.mark.parametrize(
    "properties",
    [
        "Description: x",
        "Architectures: [arm64]",
        "Tags: {a: b}",
        "LoggingConfig: {LogFormat: JSON}",
        "FunctionUrlConfig: !Ref AWS::NoValue",
        "FunctionUrlConfig: !If [Never, {AuthType: NONE}, !Ref AWS::NoValue]",
        "SnapStart: {}",
    ],
)
def test_what_changes_nothing_is_not_said(said, properties):
    assert said(properties, before="Conditions: {Never: !Equals [a, b]}\n") == []


@pytest.mark.parametrize("value", ["!If 3", "!If [[x], a, b]", "!If [Nobody, a, b]", "!If {a: b}"])
def test_conditions_of_a_wrong_form_do_no_harm(said, value):
    assert any("`SnapStart` is not emulated" in note for note in said(f"SnapStart: {value}"))
    said(f"Environment: {{Variables: {{X: {value}}}}}")


def test_a_property_is_said_once_for_each_type(said):
    queue = "Q{}: {{Type: AWS::SQS::Queue, Properties: {{Unheard: 1}}}}\n"
    resources = queue.format(1) + queue.format(2) + "T: {Type: AWS::DynamoDB::Table, Properties: {Unheard: 1}}"
    assert [note.partition(": ")[2] for note in said("Unheard: 1", resources)] == [
        "`F`: `Unheard` is not emulated; ignored.",
        "`Q1`: `Unheard` is not emulated; ignored.",
        "`T`: `Unheard` is not emulated; ignored.",
    ]


def test_a_property_of_globals_is_said_with_the_line_of_globals(said):
    before = "Globals:\n  Function:\n    SnapStart: {ApplyOn: PublishedVersions}\n"
    assert said(before=before) == ["3: `F`: `SnapStart` is not emulated; ignored."]


@pytest.mark.parametrize("names", ["'*'", "[SnapStart]"])
def test_globals_that_a_resource_ignores_are_not_its_properties(said, tmp_path, names):
    before = "Globals: {Function: {SnapStart: {ApplyOn: PublishedVersions}}}\n"
    assert said(before=before) != []
    path = tmp_path / "template.yaml"
    function = "Type: AWS::Serverless::Function"
    path.write_text(path.read_text().replace(function, f"{function}\n    IgnoreGlobals: {names}"))
    assert read(path).notes == ()


def test_of_a_function_that_is_left_out_nothing_else_is_said(said):
    left_out = """
        G:
          Type: AWS::Serverless::Function
          Properties: {Handler: a.b, Runtime: dotnet8, FunctionUrlConfig: {AuthType: NONE}, SnapStart: {A: b}}
    """
    assert [note.partition(": ")[2] for note in said("", left_out)] == [
        "`G`: the runtime dotnet8 does not run here, but python*, nodejs* and provided* do; the function is ignored."
    ]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.parent.name)
def test_a_property_that_nobody_knows_cannot_vanish(tmp_path, source):
    content = load(source.read_text())
    for each in source.parent.iterdir():
        if each.is_dir():
            (tmp_path / each.name).symlink_to(each)
    path = tmp_path / "template.json"
    for logical_id, resource in content["Resources"].items():
        if WITHOUT_EFFECT.get(resource["Type"]) is None or "Condition" in resource:
            continue
        planted = copy.deepcopy(content)
        planted["Resources"][logical_id].setdefault("Properties", {})["Unheard"] = [1]
        path.write_text(json.dumps(planted))
        found = [note for note in read(path).notes if f"`{logical_id}`: `Unheard` is not emulated; ignored." in note]
        assert len(found) == 1, logical_id


def test_code_that_is_not_named_is_beside_the_template(tmp_path, said):
    said()
    assert read(tmp_path / "template.yaml").functions["F"].code == tmp_path.resolve()


@pytest.mark.parametrize(("enabled", "sources"), [("true", 1), ("false", 0), ("!If [Never, true, false]", 0)])
def test_an_event_source_that_is_not_enabled_is_not_polled(tmp_path, said, enabled, sources):
    events = f"Events: {{Q: {{Type: SQS, Properties: {{Queue: !GetAtt Q.Arn, Enabled: {enabled}}}}}}}"
    before = "Conditions: {Never: !Equals [a, b]}\n"
    assert said(events, "Q: {Type: AWS::SQS::Queue}", before) == []
    assert len(read(tmp_path / "template.yaml").event_sources) == sources


@pytest.mark.parametrize(
    ("transform", "notes"),
    [
        ("AWS::Serverless-2016-10-31", []),
        ("[AWS::LanguageExtensions, AWS::Serverless-2016-10-31]", []),
        ("[Mine]", ["1: `Transform`: `Mine` is not run; what it would change stays as it is."]),
        ("{Name: AWS::Include}", ["1: `Transform`: `AWS::Include` is not run; what it would change stays as it is."]),
    ],
)
def test_a_macro_that_is_not_run_is_said(said, transform, notes):
    assert said(before=f"Transform: {transform}\n") == notes


def test_each_nested_stack_is_said_and_its_outputs_are_not_made_up(said):
    resources = """
        One: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: ./one.yaml}}
        Two: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: !Sub "./${AWS::Region}.yaml"}}
        Three: {Type: AWS::Serverless::Application, Properties: {Location: {ApplicationId: x}}}
    """
    properties = "Environment: {Variables: {X: !GetAtt One.Outputs.TableArn}}"
    absent = "nested stacks are not read; what {} is not here, nor are its outputs."
    assert [note.partition(": ")[2] for note in said(properties, resources)] == [
        "`F`: `Fn::GetAtt One.Outputs.TableArn` is not known; the value is empty.",
        f"`One`: {absent.format('./one.yaml describes')}",
        f"`Two`: {absent.format('./us-east-1.yaml describes')}",
        f"`Three`: {absent.format('it describes')}",
    ]
