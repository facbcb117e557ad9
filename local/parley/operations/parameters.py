"""Values of a template's parameters, checked as CloudFormation checks them, before anything is uploaded.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from parley.operations.findings import Finding, error
from parley.template.document import Document
from parley.template.parameters import accepted_values, refusal
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
        elif reason := refusal(name, declared[name], value):
            yield error(f"{place}: {reason}.", f"Give {accepted_values(declared[name])}")
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
