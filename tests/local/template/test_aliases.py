"""Templates whose YAML aliases repeat too much, or themselves: one line, and at once."""

from __future__ import annotations

import pytest
from parley.template.reader import read
from parley.template.source import TemplateError, load

API = """
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties: {RouteSelectionExpression: $request.body.a, Routes: {$default: {FunctionArn: !GetAtt F.Arn}}}
"""
FUNCTION = "  F: {Type: AWS::Serverless::Function, Properties: {Handler: app.f, Environment: {Variables: %s}}}\n"


REFUSAL = "The template {} is not YAML that CloudFormation accepts: {}. Correct it."


def bomb(first, repeated):
    """Return anchors a to h; each repeats the one before it nine times."""
    lines = [f"a: &a {first}"]
    lines += [
        f"{name}: &{name} {repeated.format(','.join([f'*{before}'] * 9))}"
        for before, name in zip("abcdefg", "bcdefgh", strict=True)
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("anchors", "used"),
    [
        (bomb("[x, x]", "[{}]"), "{X: *h}"),
        (bomb("{x: y}", "{{<<: [{}]}}"), "*h"),
        (bomb("[x]", "!Join ['', [{}]]"), "{X: *h}"),
        (bomb("{x: y}", "{{k: [{}]}}"), "{X: y}"),
    ],
    ids=["lists", "merge-keys", "functions", "unused"],
)
def test_a_bomb_is_one_line(tmp_path, anchors, used):
    path = tmp_path / "template.yaml"
    path.write_text(f"{anchors}\nResources:\n{API}{FUNCTION % used}")
    with pytest.raises(TemplateError) as refused:
        read(path)
    assert str(refused.value) == REFUSAL.format(path, "its aliases repeat more than 20,000 values")


@pytest.mark.parametrize(
    "resources",
    [
        FUNCTION % "{X: &x [*x]}",
        FUNCTION % "&x {X: *x}",
        FUNCTION % "{X: &x !Join ['', [*x]]}",
        "  F: &r {Type: AWS::Serverless::Function, Properties: {Handler: a.b, Environment: {Variables: {X: *r}}}}\n",
        FUNCTION % "{X: &x {a: [{b: &y [*x, *y]}]}}",
        FUNCTION % "&x {<<: *x}",
    ],
)
def test_an_alias_inside_of_what_it_repeats_is_one_line(tmp_path, resources):
    path = tmp_path / "template.yaml"
    path.write_text(f"Resources:\n{API}{resources}")
    with pytest.raises(TemplateError) as refused:
        read(path)
    assert str(refused.value) == REFUSAL.format(path, "an alias stands inside of what it repeats")


def test_aliases_that_people_write_are_read(tmp_path):
    (tmp_path / "template.yaml").write_text(
        f"Resources:\n{API}{FUNCTION % '&x {A: b, C: d}'}  G: {{Type: x, Y: [*x, *x]}}\n"
    )
    assert read(tmp_path / "template.yaml").functions["F"].environment == {"A": "b", "C": "d"}


def test_a_large_template_without_aliases_is_no_bomb():
    assert len(load("[" + ",".join(["{a: [b]}"] * 30_000) + "]")) == 30_000


def test_conditions_that_use_each_other_twice_are_decided_once_each(tmp_path):
    """Without a memory this would take 2 to the power of 60 steps."""
    conditions = [
        "C0: !Equals [a, a]",
        *(f"C{n}: !And [!Condition C{n - 1}, !Condition C{n - 1}]" for n in range(1, 61)),
    ]
    path = tmp_path / "template.yaml"
    path.write_text(
        "Conditions:\n"
        + "".join(f"  {each}\n" for each in conditions)
        + f"Resources:\n{API}{FUNCTION % '{X: !If [C60, y, n]}'}"
    )
    assert read(path).functions["F"].environment == {"X": "y"}
