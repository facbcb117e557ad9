"""CloudFormation's checks of parameters, before it creates anything: patterns, bounds and rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def accepts(declared: Mapping[str, Any], value: str) -> bool:
    """Tell if a parameter takes a value.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
    """
    allowed = declared.get("AllowedValues")
    if allowed is not None:
        return value in map(str, allowed)
    if declared["Type"] == "Number":
        return _is_number_within(value, declared.get("MinValue"), declared.get("MaxValue"))
    assert declared["Type"] == "String", declared
    # The pattern must match the whole value. It is Java's, whose `\s` is ASCII's.
    return re.fullmatch(declared.get("AllowedPattern", ".*"), value, re.ASCII) is not None


def _is_number_within(value: str, low: float | None, high: float | None) -> bool:
    try:
        number = float(value)
    except ValueError:
        return False
    return (low is None or low <= number) and (high is None or number <= high)


def values_of(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Return the values of all parameters: the given ones, else their defaults, else empty texts."""
    declared = template["Parameters"]
    assert given.keys() <= declared.keys(), f"no such parameters: {given.keys() - declared.keys()}"
    return {name: given.get(name, str(each.get("Default", ""))) for name, each in declared.items()}


def broken_rules(template: Mapping[str, Any], given: Mapping[str, str]) -> list[str]:
    """Return what CloudFormation says about parameters that do not fit together.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html
    """
    values = values_of(template, given)
    return [
        assertion["AssertDescription"]
        for rule in template["Rules"].values()
        if "RuleCondition" not in rule or _is_true(rule["RuleCondition"], values)
        for assertion in rule["Assertions"]
        if not _is_true(assertion["Assert"], values)
    ]


def _is_true(expression: Any, values: Mapping[str, str]) -> bool:
    """Evaluate one of the functions that rules may use. Fails for any other: CloudFormation refuses the template."""
    [(function, arguments)] = expression.items()
    match function:
        case "Fn::Equals":
            left, right = arguments
            return _text(left, values) == _text(right, values)
        case "Fn::Not":
            [argument] = arguments
            return not _is_true(argument, values)
        case "Fn::And" | "Fn::Or":
            assert 2 <= len(arguments) <= 10, expression
            return (all if function == "Fn::And" else any)(_is_true(each, values) for each in arguments)
        case "Fn::Contains":
            texts, text = arguments
            return _text(text, values) in [_text(each, values) for each in texts]
    raise AssertionError(f"{function} is not for rules")


def _text(value: Any, values: Mapping[str, str]) -> str:
    return value if isinstance(value, str) else values[value["Ref"]]
