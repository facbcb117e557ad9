"""Conditions of policy statements: operators, keys and values (IAM guide, "Condition operators")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from ipaddress import ip_address, ip_network
from operator import eq, ge, gt, le, lt
from typing import Any

Context = Mapping[str, Sequence[str]]
"""The values of a request's condition keys. Names are in lower case. A key without a value is missing."""

KEYS = {
    *("aws:principalarn", "aws:principalaccount", "aws:principaltype", "aws:userid", "aws:securetransport"),
    *("aws:requestedregion", "aws:resourceaccount", "aws:currenttime", "aws:epochtime", "aws:viaawsservice"),
    *("aws:principalisawsservice", "kms:viaservice", "kms:calleraccount"),
}
"""The keys that the emulator knows. A request may lack some of them."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_WILDCARDS = {"*": ".*", "?": "."}
_SPECIAL = ("*", "?", "$")
"""Characters that a variable of the form `${*}` stands for."""

_Operator = Callable[[str, str], bool]


@lru_cache(4096)
def _pattern(text: str, ignore_case: bool) -> re.Pattern[str]:
    parts = re.split(r"(\$\{[*?$]\}|[*?])", text)
    escaped = (_WILDCARDS.get(part) or re.escape(part[2] if part.startswith("${") else part) for part in parts if part)
    return re.compile("".join(escaped), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def matches(value: str, pattern: str, *, ignore_case: bool = False) -> bool:
    """Tell if a value matches a pattern. `*` stands for any text, `?` for one character."""
    return _pattern(pattern, ignore_case).fullmatch(value) is not None


def expanded(text: str, context: Context) -> str | None:
    """Return a text with the values of its policy variables; None if the request has no value for one of them.

    The characters of a value have no special meaning. A variable may have a default: `${key, 'default'}`.
    """
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        if match[1] in _SPECIAL:
            return match[0]
        key, _, default = match[1].partition(",")
        found = context.get(key.strip().lower())
        given = found[0] if found else default.strip().strip("'") or None
        missing = missing or given is None
        return re.sub(r"[*?$]", r"${\g<0>}", given or "")

    result = _VARIABLE.sub(value, text)
    return None if missing else result


def variables(text: str) -> Iterator[str]:
    """Return the keys of the policy variables in a text."""
    for match in _VARIABLE.finditer(text):
        if match[1] not in _SPECIAL:
            yield match[1].partition(",")[0].strip()


def _literal(text: str) -> str:
    return re.sub(r"\$\{([*?$])\}", r"\1", text)


def _number(compare: Callable[[Any, Any], bool], value: str, wanted: str) -> bool:
    try:
        return compare(float(value), float(wanted))
    except ValueError:
        return False


def _date(compare: Callable[[Any, Any], bool], value: str, wanted: str) -> bool:
    try:
        return compare(_moment(value), _moment(wanted))
    except (ValueError, OverflowError):
        return False


def _moment(text: str) -> datetime:
    """Return a moment in ISO 8601 or in seconds since the epoch. Raises `ValueError` or `OverflowError`."""
    if re.fullmatch(r"-?\d{5,}(\.\d+)?", text):
        return datetime.fromtimestamp(float(text), UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _address(value: str, wanted: str) -> bool:
    try:
        return ip_address(value) in ip_network(wanted, strict=False)
    except ValueError:
        return False


def _arn(value: str, wanted: str) -> bool:
    """Compare the six parts of two ARNs, each for itself."""
    parts, patterns = value.split(":", 5), wanted.split(":", 5)
    return len(parts) == len(patterns) and all(map(matches, parts, patterns))


def _same(value: str, wanted: str) -> bool:
    return value == _literal(wanted)


def _same_ignoring_case(value: str, wanted: str) -> bool:
    return value.casefold() == _literal(wanted).casefold()


_OPERATORS: dict[str, _Operator] = {
    "stringequals": _same,
    "stringequalsignorecase": _same_ignoring_case,
    "stringlike": matches,
    "bool": _same_ignoring_case,
    "binaryequals": _same,
    "ipaddress": _address,
    "arnequals": _arn,
    "arnlike": _arn,
    **{
        f"{kind}{name}": partial(compare, by)
        for kind, compare in (("numeric", _number), ("date", _date))
        for name, by in (
            *(("equals", eq), ("lessthan", lt), ("lessthanequals", le)),
            *(("greaterthan", gt), ("greaterthanequals", ge)),
        )
    },
}
_NEGATED = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
    "notipaddress": "ipaddress",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
}
_QUANTIFIERS = ("forallvalues", "foranyvalue")


def _parse(operator: str) -> tuple[str, str, bool]:
    """Return the quantifier of an operator, its name, and whether it ends in `IfExists`."""
    quantifier, _, name = operator.lower().rpartition(":")
    return quantifier, name.removesuffix("ifexists"), name.endswith("ifexists")


def is_known(operator: str) -> bool:
    """Tell if an operator exists."""
    quantifier, name, _ = _parse(operator)
    return quantifier in ("", *_QUANTIFIERS) and (name in _OPERATORS or name in _NEGATED or operator.lower() == "null")


def is_met(
    operator: str, key: str, wanted: Sequence[str], context: Context, is_fully_known: bool = False
) -> bool | None:
    """Tell if a request meets one condition; None if the operator or the key is unknown.

    No key is unknown if the request `is_fully_known`.
    """
    if not is_known(operator) or not (is_fully_known or key.lower() in KEYS):
        return None
    values = context.get(key.lower())
    if operator.lower() == "null":
        return any((values is None) == (each.lower() == "true") for each in wanted)
    quantifier, name, if_exists = _parse(operator)
    if not values:
        return if_exists or quantifier == "forallvalues" or (name in _NEGATED and not quantifier)
    filled = [each for each in (expanded(text, context) for text in wanted) if each is not None]
    compare = _OPERATORS[_NEGATED.get(name, name)]
    met = [any(compare(value, each) for each in filled) != (name in _NEGATED) for value in values]
    return all(met) if quantifier == "forallvalues" else any(met)
