"""`Fn::ForEach` and the other functions of AWS::LanguageExtensions."""

from __future__ import annotations

from textwrap import dedent

import pytest
from parley.template.loops import Loops, TooManyValues
from parley.template.reader import read
from parley.template.source import TemplateError, load

FUNCTION = """
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.f
      Environment:
        Variables:
          WORD: !Ref Word
"""
HEAD = """
    Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]
    Parameters:
      Words: {Type: CommaDelimitedList, Default: "Ping, Pong"}
    Mappings:
      Sets:
        small: {words: [Ping]}
    Resources:
      Api:
        Type: AWS::Serverless::WebSocketApi
        Properties: {RouteSelectionExpression: $request.body.a, Routes: {$default: {FunctionArn: !GetAtt PingF.Arn}}}
"""


@pytest.fixture
def template(tmp_path):
    """Write a template with these resources; return its path."""

    def write(resources, head=HEAD):
        path = tmp_path / "template.yaml"
        indented = "".join(f"  {line}\n" for line in dedent(resources).strip().splitlines())
        path.write_text(dedent(head).lstrip() + indented)
        return path

    return write


def loop(collection, key="${Word}F", name="Fs", body=FUNCTION):
    inner = "".join(f"        {line}\n" for line in dedent(body).strip().splitlines())
    return f"Fn::ForEach::{name}:\n    - Word\n    - {collection}\n    - {key}:\n{inner}"


@pytest.mark.parametrize(
    ("collection", "words"),
    [
        ("[Ping, Pong]", ["Ping", "Pong"]),
        ("!Ref Words", ["Ping", "Pong"]),
        ("!FindInMap [Sets, small, words]", ["Ping"]),
        ("!Split ['/', Ping/Pang]", ["Ping", "Pang"]),
        ("[Ping, !Select [1, !Ref Words]]", ["Ping", "Pong"]),
        ("[Ping, 7, true]", ["Ping", "7", "true"]),
    ],
)
def test_a_loop_makes_a_resource_of_each_item(template, collection, words):
    found = read(template(loop(collection)))
    assert {name: function.environment["WORD"] for name, function in found.functions.items()} == {
        f"{word}F": word for word in words
    }
    assert found.notes == ()


def test_a_given_parameter_decides_what_a_loop_makes(template):
    assert list(read(template(loop("!Ref Words")), {"Words": "Ping,A,B"}).functions) == ["PingF", "AF", "BF"]


def test_loops_may_be_in_loops_in_properties_conditions_and_outputs(template):
    head = HEAD.replace(
        "    Resources:",
        """
    Conditions:
      Fn::ForEach::Conditions:
        - Word
        - [Ping, Pong]
        - Is${Word}: !Equals [!Ref Word, Ping]
    Outputs:
      Fn::ForEach::Outputs: [Word, [Ping], {"${Word}Arn": {Value: !GetAtt [!Sub "${Word}F", Arn]}}]
    Resources:""",
    )
    resources = """
        Fn::ForEach::Outer:
          - Word
          - [Ping, Pong]
          - Fn::ForEach::Inner:
              - Part
              - [F, G]
              - ${Word}${Part}:
                  Type: AWS::Serverless::Function
                  Condition: Is${Word}
                  Properties:
                    Handler: app.f
                    Environment:
                      Variables:
                        Fn::ForEach::Variables: [Name, [A, B], {"${Name}": !Sub "${Word}-${Part}-${Name}"}]
    """
    functions = read(template(resources, head)).functions
    assert {name: dict(function.environment) for name, function in functions.items()} == {
        "PingF": {"A": "Ping-F-A", "B": "Ping-F-B"},
        "PingG": {"A": "Ping-G-A", "B": "Ping-G-B"},
    }


def test_a_key_takes_letters_and_digits_of_an_item_only(template):
    found = read(template(loop("[Ping, 10.0.0.1]", "'&{Word}F'")))
    assert {name: function.environment["WORD"] for name, function in found.functions.items()} == {
        "PingF": "Ping",
        "10001F": "10.0.0.1",
    }


def test_a_note_has_the_line_in_the_loop(template):
    path = template(loop("[Ping, Pong]", body=FUNCTION.replace("Handler", "Unheard: 1\n      Handler")))
    line = next(number for number, line in enumerate(path.read_text().splitlines(), 1) if "Unheard" in line)
    assert read(path).notes == (f"{path}:{line}: `PingF`: `Unheard` is not emulated; ignored.",)


@pytest.mark.parametrize(
    ("loops", "note"),
    [
        ("Fn::ForEach::Bad: [Word, [A]]", "`Bad`: a loop needs a name, a list and what is repeated; ignored."),
        ("Fn::ForEach::Bad: text", "`Bad`: a loop needs a name, a list and what is repeated; ignored."),
        ("Fn::ForEach::Bad: [Word, x, {A: b}]", "`Bad`: the list of the loop is not known; ignored."),
        ("Fn::ForEach::Bad: [Word, [[x]], {A: b}]", "`Bad`: the list of the loop is not known; ignored."),
        (
            "Fn::ForEach::Bad: [Word, [x, y], {A: {Type: AWS::SQS::Queue}}]",
            "`A`: a loop makes it more than once; only the last one is used.",
        ),
    ],
)
def test_a_loop_that_cannot_be_expanded_is_said_with_its_line(template, loops, note):
    path = template(f"{loops}\n{loop('[Ping]')}")
    line = next(number for number, line in enumerate(path.read_text().splitlines(), 1) if "::Bad" in line)
    assert read(path).notes == (f"{path}:{line}: {note}",)


def test_a_loop_without_its_transform_is_expanded_and_said(template):
    path = template(loop("[Ping]"), HEAD.replace("AWS::LanguageExtensions, ", ""))
    found = read(path)
    assert list(found.functions) == ["PingF"]
    assert [note.removeprefix(f"{path}: ") for note in found.notes] == [
        "`Fn::ForEach::Fs` needs `Transform: AWS::LanguageExtensions`; without it AWS refuses the template."
    ]


@pytest.mark.parametrize("fragment", ["{'${A}${B}${C}${D}': x}", "{}"])
def test_loops_that_make_too_much_end_in_one_line(template, fragment):
    items = list(range(50))
    resources = fragment
    for name in "DCBA":
        resources = f"{{'Fn::ForEach::{name}': [{name}, {items}, {resources}]}}"
    with pytest.raises(
        TemplateError, match=r"The loops \(Fn::ForEach\) of the template .* make more than 100,000 "
    ) as refused:
        read(template(f"{resources[1:-1]}\n{loop('[Ping]')}"))
    assert "\n" not in str(refused.value)


QUEUE = "{Type: AWS::SQS::Queue, Properties: {QueueName: !Sub '${I}'}}"
SAMPLES = [
    "Resources: {'Fn::ForEach::L': [I, [a, b], {'${I}Q': {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref I}}}]}",
    f"Resources: {{'Fn::ForEach::L': [I, [a.b], {{'&{{I}}Q': {QUEUE}}}]}}",
    "Resources: {'Fn::ForEach::L': [I, [a], {'Fn::ForEach::M': [J, [x, y], {'${I}${J}': {Type: AWS::SQS::Queue}}]}]}",
    "Resources: {Q: {Type: AWS::SQS::Queue, Properties: {'Fn::ForEach::L': [I, [a], {'${I}': !Sub '${I}Q'}]}}}",
    "Resources: {'Fn::ForEach::L': [I, [a], {'${I}Q': {Type: x, Properties: {Y: !If ['Is${I}', !Ref I, n]}}}]}",
]
"""Templates without placeholders in plain texts: AWS's guide replaces those too, cfn-lint does not."""


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_result_is_that_of_cfn_lint(sample):
    # Here and not at the top: every worker imports this module to collect it, and cfn-lint takes 0.6 s.
    from cfnlint.template import Template
    from cfnlint.template.transforms._language_extensions import language_extension

    content = {"Transform": "AWS::LanguageExtensions", **load(sample)}
    _, expected = language_extension(Template("template.yaml", content))
    found = Loops(lambda value: value, lambda text, path: None).expanded(content)
    assert _without_sub_of_constants(found) == _without_sub_of_constants(expected)


def _without_sub_of_constants(value):
    """Replace `Fn::Sub` of a text without variables by the text: cfn-lint does so."""
    match value:
        case {"Fn::Sub": str(text)} if "${" not in text:
            return text
        case dict():
            return {key: _without_sub_of_constants(each) for key, each in value.items()}
        case list():
            return [_without_sub_of_constants(each) for each in value]
    return value


def test_the_limit_counts_items_that_make_nothing():
    many = {"Fn::ForEach::L": ["I", list(range(400)), {"Fn::ForEach::M": ["J", list(range(400)), {}]}]}
    with pytest.raises(TooManyValues):
        Loops(lambda value: value, lambda text, path: None).expanded({"Resources": many})


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("!Ref {'Fn::Sub': '${Stem}F'}", "PingF"),
        ("{'Fn::GetAtt': [!Sub '${Stem}F', Arn]}", "arn:aws:lambda:us-east-1:000000000000:function:PingF"),
        ("{'Fn::ToJsonString': {a: !Ref Stem, b: [1]}}", '{"a":"Ping","b":[1]}'),
        ("{'Fn::Length': !Ref Words}", "2"),
        ("!FindInMap [Sets, none, words, {DefaultValue: !Ref Stem}]", "Ping"),
        ("!FindInMap [!Sub '${Stem}s', Ping, x]", "y"),
    ],
)
def test_other_functions_of_the_language_extensions(template, expression, value):
    head = HEAD.replace("Parameters:", "Parameters:\n      Stem: {Type: String, Default: Ping}")
    head = head.replace("Mappings:", "Mappings:\n      Pings: {Ping: {x: y}}")
    found = read(template(loop("[Ping]", body=FUNCTION.replace("!Ref Word", expression)), head))
    assert (found.functions["PingF"].environment["WORD"], found.notes) == (value, ())
