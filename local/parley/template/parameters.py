"""Constraints of a template's parameters, checked as CloudFormation checks them before it creates anything.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

_LISTS = ("CommaDelimitedList", "List<")
_NUMBERS = ("Number", "List<Number>")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_BOUNDS = ("MinValue", "MaxValue", "MinLength", "MaxLength")


def refusal(name: str, declared: Mapping[str, Any], value: str) -> str | None:
    """Return the reason why CloudFormation refuses a value of a parameter; None if it accepts the value."""
    if is_accepted(declared, value):
        return None
    shown = "its value" if as_text(declared.get("NoEcho")) == "true" else repr(value)
    return f"parameter {name} does not accept {shown}"


def is_accepted(declared: Mapping[str, Any], value: str) -> bool:
    """Tell if a parameter accepts a value. Of a list, each item must be accepted.

    A value of the Parameter Store is not checked: the template has only its name.
    """
    kind = str(declared.get("Type", ""))
    if kind.startswith("AWS::SSM::Parameter::Value"):
        return True
    items = list_items(value) if is_list(declared) else [value]
    return all(_is_item_accepted(declared, kind in _NUMBERS, item) for item in items)


def is_list(declared: Mapping[str, Any]) -> bool:
    """Tell if a parameter's value is a list."""
    return str(declared.get("Type", "")).startswith(_LISTS)


def list_items(text: str) -> list[str]:
    """Return the items of a list parameter."""
    return [item.strip() for item in text.split(",")]


def accepted_values(declared: Mapping[str, Any]) -> str:
    """Return what a parameter accepts, in words."""
    if "ConstraintDescription" in declared:
        return str(declared["ConstraintDescription"])
    if "AllowedValues" in declared:
        return f"one of {', '.join(_allowed(declared))}."
    bounds = [f"{name} {declared[name]}" for name in _BOUNDS if name in declared]
    if bounds:
        return f"{', '.join(bounds)}."
    if declared.get("Type") in _NUMBERS:
        return "a number."
    return f"a text that matches {declared.get('AllowedPattern', '.*')}"


def _is_item_accepted(declared: Mapping[str, Any], is_number: bool, value: str) -> bool:
    if "AllowedValues" in declared and value not in _allowed(declared):
        return False
    if is_number:
        return _NUMBER.fullmatch(value) is not None and _is_within(declared, float(value), "MinValue", "MaxValue")
    return _is_within(declared, len(value), "MinLength", "MaxLength") and _matches(declared, value)


def _is_within(declared: Mapping[str, Any], number: float, low: str, high: str) -> bool:
    lowest, highest = _bound(declared.get(low)), _bound(declared.get(high))
    return (lowest is None or lowest <= number) and (highest is None or number <= highest)


def _bound(value: Any) -> float | None:
    return float(as_text(value)) if _NUMBER.fullmatch(as_text(value)) else None


def _matches(declared: Mapping[str, Any], value: str) -> bool:
    """Tell if the whole value matches the pattern. It is Java's, whose classes are ASCII's.

    A pattern that Python does not have is not checked, nor one with a set in a set, for which it has only a warning.
    """
    try:
        with warnings.catch_warnings(action="error", category=FutureWarning):
            return re.fullmatch(str(declared.get("AllowedPattern", ".*")), value, re.ASCII | re.DOTALL) is not None
    except (re.error, OverflowError, RecursionError, FutureWarning):
        return True


def _allowed(declared: Mapping[str, Any]) -> list[str]:
    values = declared["AllowedValues"]
    return [as_text(each) for each in values] if isinstance(values, list) else [as_text(values)]


def as_text(value: Any) -> str:
    """Return a scalar as CloudFormation passes it on: `true`, not `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)
