"""Values of a template's parameters, checked as CloudFormation checks them, before anything is uploaded.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from parley.operations.findings import Finding, error
from parley.template.document import Document
from parley.template.references import Stack
from parley.template.source import read_source

Declared = Mapping[str, Mapping[str, Any]]


def declared_in(template: Path) -> Declared:
    """Return the parameters that a template declares. Raises `StartError`."""
    content: Declared = read_source(template).get("Parameters", {})
    return content


def findings(declared: Declared, values: Mapping[str, str], kept: Collection[str], place: str) -> Iterator[Finding]:
    """Yield a finding for each value that CloudFormation would refuse, and for each that is missing.

    `kept` names the parameters whose values the stack has from an earlier deployment. `place` says where `values` are.
    """
    for name, value in values.items():
        if name not in declared:
            yield error(f"{place}: the template has no parameter {name}.", f"Remove {name}, or correct its name.")
        elif not is_accepted(declared[name], value):
            shown = "its value" if declared[name].get("NoEcho") else repr(value)
            yield error(f"{place}: parameter {name} does not accept {shown}.", f"Give {_accepted(declared[name])}")
    for name in declared:
        if "Default" not in declared[name] and name not in values and name not in kept:
            yield error(
                f"Parameter {name} has no value: {' '.join(str(declared[name].get('Description', '')).split())}",
                f"make deploy … PARAMETERS='{name}=…' sets it, make deploy … ARGS=--guided asks for it. "
                "Once is enough: the stack keeps it.",
            )


def broken_rules(template: Path, values: Mapping[str, str], place: str) -> Iterator[Finding]:
    """Yield a finding for each of the template's `Rules` that the values break: values that do not fit together.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html
    """
    content = read_source(template)
    rules = content.get("Rules", {})
    conditions = {f"{name}.when": rule["RuleCondition"] for name, rule in rules.items() if "RuleCondition" in rule}
    for name, rule in rules.items():
        conditions |= {f"{name}.{number}": each["Assert"] for number, each in enumerate(rule["Assertions"])}
    document = Document(template, {**content, "Conditions": conditions}, values, {}, Stack("rules"))

    def holds(condition: str) -> bool:
        return condition not in conditions or bool(document.resolved({"Fn::If": [condition, True, False]}, ()))

    for name, rule in rules.items():
        for number, each in enumerate(rule["Assertions"]):
            if holds(f"{name}.when") and not holds(f"{name}.{number}"):
                yield error(
                    f"{place}: {each.get('AssertDescription', name)}", f"The template's rule {name} wants that."
                )


def is_accepted(declared: Mapping[str, Any], value: str) -> bool:
    """Tell if a parameter accepts a value."""
    allowed = declared.get("AllowedValues")
    if allowed is not None and value not in [_text(each) for each in allowed]:
        return False
    if declared.get("Type") == "Number":
        return _is_number_within(value, declared.get("MinValue"), declared.get("MaxValue"))
    if not int(declared.get("MinLength", 0)) <= len(value) <= int(declared.get("MaxLength", len(value))):
        return False
    # The pattern must match the whole value. It is Java's, whose `\s` is ASCII's.
    return re.fullmatch(str(declared.get("AllowedPattern", ".*")), value, re.ASCII | re.DOTALL) is not None


def _is_number_within(value: str, low: float | None, high: float | None) -> bool:
    try:
        number = float(value)
    except ValueError:
        return False
    return (low is None or float(low) <= number) and (high is None or number <= float(high))


def _accepted(declared: Mapping[str, Any]) -> str:
    """Return what a parameter accepts, in words."""
    if "ConstraintDescription" in declared:
        return str(declared["ConstraintDescription"])
    if "AllowedValues" in declared:
        return f"one of {', '.join(_text(each) for each in declared['AllowedValues'])}."
    bounds = {name: declared[name] for name in ("MinValue", "MaxValue", "MinLength", "MaxLength") if name in declared}
    if bounds:
        return f"{', '.join(f'{name} {value}' for name, value in bounds.items())}."
    return f"a text that matches {declared.get('AllowedPattern', '.*')}"


def _text(value: Any) -> str:
    """Return a value of a template as CloudFormation compares it: as text."""
    return str(value).lower() if isinstance(value, bool) else str(value)
