"""Constraints of parameters: what CloudFormation refuses is refused at the start, with one line for each value."""

from __future__ import annotations

from textwrap import dedent

import pytest
from parley.template.parameters import accepted_values, is_accepted, refusal
from parley.template.reader import read
from parley.template.source import TemplateError

NUMBER = {"Type": "Number", "MinValue": 1, "MaxValue": 10}
TEXT = {"Type": "String", "MinLength": 2, "MaxLength": "3"}
PATTERN = {"Type": "String", "AllowedPattern": "[a-z]+"}
LIST = {"Type": "CommaDelimitedList", "AllowedPattern": "[a-z]+"}
CHOICE = {"Type": "String", "AllowedValues": ["x", True, 7]}
CONSTRAINTS = [
    (NUMBER, ["1", "10", "2.5", "1e1"], ["0", "11", "", "x", "nan", "inf", "1_0", " 1"]),
    ({"Type": "Number"}, ["-3", "+.5", "100000"], ["many", "", "٣"]),
    ({"Type": "List<Number>", "MaxValue": 5}, ["1", "1, 2,5"], ["1,6", "1,,2"]),
    (TEXT, ["ab", "abc"], ["a", "abcd", ""]),
    (PATTERN, ["a", "abc"], ["", "aB", "ab\n", "a b"]),
    (LIST, ["a", "a, b,c"], ["a,B", "a,,b"]),
    (CHOICE, ["x", "true", "7"], ["True", "y", ""]),
    ({"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"]}, ["a,b", "b"], ["a,c"]),
    ({"Type": "String", "AllowedPattern": r"\s"}, [" "], ["\u00a0"]),
    ({"Type": "String", "AllowedPattern": r"\p{Alpha}+"}, ["a", "7"], []),
    ({"Type": "String", "AllowedPattern": "[a-z&&[^b]]+"}, ["a", "7"], []),
    ({"Type": "AWS::SSM::Parameter::Value<String>", "AllowedPattern": "/x"}, ["anything"], []),
    ({"Type": "String", "AllowedValues": None, "MinLength": "long"}, ["None"], ["x"]),
    ({}, ["", "anything"], []),
]


@pytest.mark.parametrize(("declared", "good", "bad"), CONSTRAINTS)
def test_a_parameter_accepts_what_its_constraints_say(declared, good, bad):
    assert [value for value in good if not is_accepted(declared, value)] == []
    assert [value for value in bad if is_accepted(declared, value)] == []


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (NUMBER, "MinValue 1, MaxValue 10."),
        (PATTERN, "a text that matches [a-z]+"),
        (CHOICE, "one of x, true, 7."),
        ({"Type": "Number"}, "a number."),
        ({**NUMBER, "ConstraintDescription": "a small number."}, "a small number."),
    ],
)
def test_it_is_said_what_is_accepted(declared, said):
    assert accepted_values(declared) == said


def test_a_secret_value_is_not_said():
    assert refusal("Key", {**PATTERN, "NoEcho": True}, "S3CRET") == "parameter Key does not accept its value"
    assert refusal("Key", PATTERN, "S3CRET") == "parameter Key does not accept 'S3CRET'"


TEMPLATE = """
    Parameters:
      Rate: {Type: Number, Default: 20, MaxValue: 60000}
      Mode:
        Type: String
        Default: fast
        AllowedValues: [fast, slow]
    Resources:
      Api:
        Type: AWS::Serverless::WebSocketApi
        Properties: {RouteSelectionExpression: $request.body.a, Routes: {$default: {FunctionArn: !GetAtt F.Arn}}}
      F: {Type: AWS::Serverless::Function, Properties: {Handler: app.f, CodeUri: code}}
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "code").mkdir()
    path = tmp_path / "template.yaml"
    path.write_text(dedent(TEMPLATE))
    return path


def test_values_that_are_accepted_start(path):
    assert read(path, {"Rate": "60000", "Mode": "slow"}).notes == ()


def test_each_value_that_is_not_accepted_has_one_line(path):
    with pytest.raises(TemplateError) as refused:
        read(path, {"Rate": "100000", "Mode": "odd"})
    assert str(refused.value).splitlines() == [
        f"{path}:3: parameter Rate does not accept '100000'. Give MaxValue 60000.",
        f"{path}:4: parameter Mode does not accept 'odd'. Give one of fast, slow.",
        "CloudFormation would refuse this. Set a value with --parameter NAME=VALUE.",
    ]


def test_a_default_that_breaks_its_own_constraints_is_refused_too(path):
    path.write_text(path.read_text().replace("Default: 20", "Default: 70000"))
    with pytest.raises(TemplateError, match="parameter Rate does not accept '70000'"):
        read(path)


@pytest.mark.parametrize(
    ("value", "parameter"),
    [
        ("!Ref Rate", "Rate"),
        ('!Sub "${Rate}"', "Rate"),
        ("!If [Yes, !Ref Rate, none]", "Rate"),
        ("!If [No, !Ref Rate, !Ref Mode]", "Mode"),
        ('!Sub "${Rate} a minute"', ""),
        ("!Ref F", ""),
        ("plain", ""),
    ],
)
def test_a_variable_knows_the_parameter_that_gives_it_its_value(path, value, parameter):
    variables = f"app.f, Environment: {{Variables: {{X: {value}}}}}"
    conditions = "Conditions: {Yes: !Equals [a, a], No: !Equals [a, b]}"
    path.write_text(f"{conditions}\n{path.read_text().replace('app.f', variables)}")
    assert read(path).functions["F"].parameters == ({"X": parameter} if parameter else {})
