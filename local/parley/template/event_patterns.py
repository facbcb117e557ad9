"""Event patterns of EventBridge: whether an event has what a pattern names.

The operators are those of the user guide's page "Comparison operators for use in event patterns".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_ABSENT = object()


class InvalidPattern(ValueError):
    """A pattern that EventBridge does not take. The text says why."""


def check(pattern: Any, path: str = "") -> None:
    """Raise `InvalidPattern` if EventBridge would not take a pattern."""
    if not isinstance(pattern, dict) or not pattern:
        raise InvalidPattern(f"{path or 'the pattern'} must be an object that is not empty")
    for name, expected in pattern.items():
        place = f"{path}.{name}".lstrip(".")
        if isinstance(expected, dict):
            check(expected, place)
            continue
        if not isinstance(expected, list) or len(expected) < (2 if name == "$or" else 1):
            what = "a list of two or more patterns" if name == "$or" else "a list of values that is not empty"
            raise InvalidPattern(f"{place} must be {what}")
        for each in expected:
            (check if name == "$or" else _check_condition)(each, place)


def _check_condition(condition: Any, place: str) -> None:
    if isinstance(condition, list):
        raise InvalidPattern(f"{place} has a list in its list")
    if isinstance(condition, dict):
        if len(condition) != 1 or next(iter(condition)) not in _OPERATORS:
            known = ", ".join(_OPERATORS)
            raise InvalidPattern(f"{place} has the operator {', '.join(condition) or 'none'}; there are {known}")
        [(operator, operand)] = condition.items()
        try:
            _OPERATORS[operator](operand, "0")
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, re.error):
            raise InvalidPattern(f"{place} has the value {operand!r:.100}, which {operator} does not take") from None


def matches(pattern: Mapping[str, Any], event: Any) -> bool:
    """Tell if an event has what a pattern names. The pattern is one that `check` takes."""
    for name, expected in pattern.items():
        if name == "$or":
            if not any(matches(each, event) for each in expected):
                return False
            continue
        value = event.get(name, _ABSENT) if isinstance(event, Mapping) else _ABSENT
        if isinstance(expected, Mapping):
            # Of a list of objects one must have all that is named (the page "Arrays in event patterns").
            values = value if isinstance(value, list) else [value]
            if not any(matches(expected, each) for each in values):
                return False
        elif not _has_value(expected, value):
            return False
    return True


def _has_value(expected: Iterable[Any], value: Any) -> bool:
    """Tell if a value, or one value of a list, meets one of the conditions."""
    values = value if isinstance(value, list) else [value]
    return any(_meets(condition, values) for condition in expected)


def _meets(condition: Any, values: list[Any]) -> bool:
    if not isinstance(condition, Mapping):
        return any(_equals(condition, value) for value in values)
    [(operator, operand)] = condition.items()
    if operator == "exists":
        # It is about leaves: an object is none.
        there = any(value is not _ABSENT and not isinstance(value, Mapping) for value in values)
        return there is operand
    return any(value is not _ABSENT and _OPERATORS[operator](operand, value) for value in values)


def _equals(expected: Any, value: Any) -> bool:
    # True is 1 in Python, and is not in JSON.
    alike = type(expected) is type(value) or _is_number(expected, value)
    return alike and bool(expected == value)


def _is_number(*values: Any) -> bool:
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)


def _begins(operand: Any, value: Any) -> bool:
    return _text(operand, value, str.startswith)


def _ends(operand: Any, value: Any) -> bool:
    return _text(operand, value, str.endswith)


def _text(operand: Any, value: Any, compare: Callable[[str, str], bool]) -> bool:
    """Compare texts; without regard to case if the operand is `{"equals-ignore-case": text}`."""
    if isinstance(operand, Mapping):
        folded = operand["equals-ignore-case"].casefold()
        return isinstance(value, str) and compare(value.casefold(), folded)
    if not isinstance(operand, str):
        raise TypeError
    return isinstance(value, str) and compare(value, operand)


def _ignoring_case(operand: Any, value: Any) -> bool:
    return isinstance(value, str) and any(value.casefold() == each.casefold() for each in _listed(operand))


def _wildcard(operand: Any, value: Any) -> bool:
    """Compare with a text in which an asterisk stands for any characters, and after a backslash for itself."""
    parts = re.split(r"(?<!\\)\*", operand)
    expression = ".*".join(re.escape(part.replace("\\*", "*").replace("\\\\", "\\")) for part in parts)
    return isinstance(value, str) and re.fullmatch(expression, value, re.DOTALL) is not None


def _anything_but(operand: Any, value: Any) -> bool:
    if isinstance(operand, Mapping):
        [(operator, inner)] = operand.items()
        if operator not in ("prefix", "suffix", "wildcard", "equals-ignore-case"):
            raise KeyError(operator)
        return not any(_OPERATORS[operator](each, value) for each in _listed(inner))
    return not any(_equals(each, value) for each in _listed(operand))


def _numeric(operand: Any, value: Any) -> bool:
    tests = list(zip(operand[::2], operand[1::2], strict=True))
    if not tests or not all(_is_number(bound) for _, bound in tests):
        raise ValueError
    compared = [(_COMPARISONS[sign], bound) for sign, bound in tests]
    return _is_number(value) and all(compare(value, bound) for compare, bound in compared)


_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


def _in_network(operand: Any, value: Any) -> bool:
    network = ipaddress.ip_network(operand, strict=False)
    try:
        return ipaddress.ip_address(value) in network
    except ValueError:
        return False


def _exists(operand: Any, value: Any) -> bool:
    if not isinstance(operand, bool):
        raise TypeError
    return operand


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "prefix": _begins,
    "suffix": _ends,
    "equals-ignore-case": _ignoring_case,
    "wildcard": _wildcard,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "cidr": _in_network,
    "exists": _exists,
}
