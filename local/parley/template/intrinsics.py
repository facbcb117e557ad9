"""CloudFormation's intrinsic functions: values are resolved."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from parley.template.generated_secrets import fields_of
from parley.template.parameters import as_text

NO_VALUE = object()
"""Value of `AWS::NoValue`: the property, or the item of a list, does not exist."""

_DYNAMIC = re.compile(r"\{\{resolve:([\w-]+):([^}]*)\}\}")
_ARN_PARTS = 7
"""The parts of a secret's ARN between colons."""

_SUBSTITUTION = re.compile(r"\$\{(!?)([^}]*)\}")


class Unresolved(Exception):
    """A value depends on something unknown. The text says on what."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """Resolves intrinsic functions. A value that cannot be resolved becomes "", with a note.

    `names` are the values of `Ref` for parameters, pseudo parameters and resources. `attribute` returns the value of
    `Fn::GetAtt`, `imports` are exports of other stacks, `ssm` returns the value of an SSM parameter, and `secret` that
    of a secret, by its name or ARN. `decided` has the conditions that are known, None while one is found out, and
    `following` the dynamic references whose values are being found.
    """

    names: Mapping[str, Any]
    attribute: Callable[[str, str], str | None]
    conditions: Mapping[str, Any]
    mappings: Mapping[str, Any]
    imports: Mapping[str, str]
    ssm: Callable[[str], str | None]
    secret: Callable[[str], str | None]
    note: Callable[[str], None]
    decided: dict[Any, bool | None] = field(default_factory=dict)
    following: set[str] = field(default_factory=set)

    def __call__(self, value: Any) -> Any:
        """Return a value of the template with all its intrinsic functions resolved."""
        if isinstance(value, list):
            return [item for item in map(self, value) if item is not NO_VALUE]
        if isinstance(value, str) and "{{resolve:" in value:
            return _DYNAMIC.sub(self._dynamic, value)
        if not isinstance(value, dict):
            return value
        # A function is the only key of its mapping. `Condition` next to other keys is an ordinary property.
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name in _FUNCTIONS:
                return self._apply(name, argument)
            if str(name).startswith("Fn::"):
                return self._unresolved(f"`{name}` is not supported")
        resolved = ((key, self(item)) for key, item in value.items())
        return {key: item for key, item in resolved if item is not NO_VALUE}

    def _apply(self, name: str, argument: Any) -> Any:
        try:
            result = _FUNCTIONS[name](self, argument)
            # A function may put a dynamic reference together, with the ARN of a secret for example.
            return _DYNAMIC.sub(self._dynamic, result) if isinstance(result, str) else result
        except Unresolved as unresolved:
            return self._unresolved(str(unresolved))
        except (TypeError, ValueError, LookupError, AttributeError, RecursionError):
            return self._unresolved(f"`{name}` has invalid arguments: {argument!r:.200}")

    def _unresolved(self, text: str) -> str:
        self.note(f"{text}; the value is empty.")
        return ""

    def _dynamic(self, match: re.Match[str]) -> str:
        reference, service, name = match[0], match[1], match[2]
        if reference in self.following:
            return self._unresolved(f"`{reference}` leads back to itself")
        self.following.add(reference)
        try:
            value = self.ssm(name.partition(":")[0]) if service.startswith("ssm") else self._secret(service, name)
        finally:
            self.following.remove(reference)
        return self._unresolved(f"`{reference}` is not known") if value is None else value

    def _secret(self, service: str, reference: str) -> str | None:
        """Return the value that a reference to a secret means: `name-or-ARN[:SecretString[:key]]`."""
        if service != "secretsmanager":
            return None
        parts = reference.split(":")
        words = _ARN_PARTS if parts[0] == "arn" else 1
        value = self.secret(":".join(parts[:words]))
        key = "".join(parts[words + 1 : words + 2])
        if value is None or not key:
            return value
        fields = fields_of(value) or {}
        return as_text(fields[key]) if key in fields else None

    def condition(self, name: Any) -> bool:
        """Tell if a condition of the template is true. A condition that does not exist is false."""
        if name not in self.conditions:
            return False
        if name not in self.decided:
            self.decided[name] = None
            self.decided[name] = bool(self(self.conditions[name]))
        decision = self.decided[name]
        if decision is None:
            raise RecursionError(f"the condition {name} leads back to itself")
        return decision


def _ref(resolver: Resolver, name: Any) -> Any:
    name = resolver(name)
    if name not in resolver.names:
        raise Unresolved(f"`Ref {name}` refers to nothing in the template")
    return resolver.names[name]


def _get_att(resolver: Resolver, path: Any) -> str:
    logical_id, attribute = path.split(".", 1) if isinstance(path, str) else path
    logical_id, attribute = str(resolver(logical_id)), str(resolver(attribute))
    value = resolver.attribute(logical_id, attribute)
    if value is None:
        raise Unresolved(f"`Fn::GetAtt {logical_id}.{attribute}` is not known")
    return value


def _sub(resolver: Resolver, argument: Any) -> str:
    text, variables = (argument, {}) if isinstance(argument, str) else argument

    def value(match: re.Match[str]) -> str:
        literal, name = match.groups()
        if literal:
            return f"${{{name}}}"
        # The function's own variables hide names of the template. Of these, SAM's generated ones may contain a dot, as
        # `Function.Alias`, so a dot alone does not make an attribute.
        if name in variables:
            return as_text(resolver(variables[name]))
        is_attribute = "." in name and name not in resolver.names
        return as_text(_get_att(resolver, name) if is_attribute else _ref(resolver, name))

    return _SUBSTITUTION.sub(value, text)


def _join(resolver: Resolver, argument: Any) -> str:
    separator, parts = argument
    return str(separator).join(as_text(part) for part in resolver(parts))


def _if(resolver: Resolver, argument: Any) -> Any:
    # Only the chosen branch is resolved: the other one may name resources whose condition is false.
    name, yes, no = argument
    if name not in resolver.conditions:
        resolver.note(f"the condition `{name}` does not exist; it counts as false.")
    return resolver(yes if resolver.condition(name) else no)


def _find_in_map(resolver: Resolver, argument: Any) -> Any:
    name, first, second, *default = (resolver(part) for part in argument)
    found = resolver.mappings.get(name, {}).get(first, {})
    if second not in found and default:
        return default[0]["DefaultValue"]
    return resolver(found[second])


def _import_value(resolver: Resolver, argument: Any) -> str:
    name = as_text(resolver(argument))
    if name not in resolver.imports:
        raise Unresolved(f"`Fn::ImportValue {name}` needs another stack: set it with --import {name}=VALUE")
    return resolver.imports[name]


def _select(resolver: Resolver, argument: Any) -> Any:
    index, values = resolver(argument)
    return values[int(index)]


def _split(resolver: Resolver, argument: Any) -> list[str]:
    separator, text = resolver(argument)
    return str(text).split(separator)


def _equals(resolver: Resolver, argument: Any) -> bool:
    left, right = resolver(argument)
    return as_text(left) == as_text(right)


_FUNCTIONS: dict[str, Callable[[Resolver, Any], Any]] = {
    "Ref": _ref,
    "Fn::GetAtt": _get_att,
    "Fn::Sub": _sub,
    "Fn::Join": _join,
    "Fn::If": _if,
    "Fn::FindInMap": _find_in_map,
    "Fn::ImportValue": _import_value,
    "Fn::Base64": lambda resolver, argument: base64.b64encode(as_text(resolver(argument)).encode()).decode(),
    "Fn::GetAZs": lambda resolver, argument: [f"{resolver.names['AWS::Region']}{letter}" for letter in "abc"],
    "Fn::Length": lambda resolver, argument: len(resolver(argument)),
    "Fn::ToJsonString": lambda resolver, argument: json.dumps(resolver(argument), separators=(",", ":")),
    "Fn::Select": _select,
    "Fn::Split": _split,
    "Fn::Equals": _equals,
    "Fn::Not": lambda resolver, argument: not resolver(argument[0]),
    "Fn::And": lambda resolver, argument: all(resolver(argument)),
    "Fn::Or": lambda resolver, argument: any(resolver(argument)),
    "Condition": lambda resolver, name: resolver.condition(name),
}
