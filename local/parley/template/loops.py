"""`Fn::ForEach` of AWS::LanguageExtensions: loops are replaced by what they make.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-foreach.html
cfn-lint has the same, but takes 1.4 s to import; it is the second opinion of the tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from parley.template.parameters import as_text
from parley.template.source import NodePath

LOOP = "Fn::ForEach"
SECTIONS = ("Conditions", "Outputs", "Resources")
"""The sections of a template that may have loops."""

MAX_VALUES = 100_000
"""The number of values that the loops of a template may make. CloudFormation's limit is a template of 1 MB."""

_Member = tuple[Any, Any, NodePath, Mapping[str, str]]
"""A member of a mapping: its key, its value, the path in the file, and the items of the loops around it."""

_PLACEHOLDER = re.compile(r"([$&])\{(\w+)\}")


class TooManyValues(Exception):
    """The loops make more than `MAX_VALUES` values."""


class Loops:
    """The loops of a template.

    `resolve` returns the list that a loop goes through, of a value of the template. `note` takes what is wrong with a
    loop, and its path. `origins` has the path in the file of each value that stands elsewhere in the result.
    """

    def __init__(self, resolve: Callable[[Any], Any], note: Callable[[str, NodePath], None]) -> None:
        self._resolve = resolve
        self._note = note
        self._made = 0
        self.origins: dict[NodePath, NodePath] = {}

    def expanded(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return the content of a template without loops. Raises `TooManyValues`."""
        return {
            name: self._expanded(value, (name,), (name,), {}) if name in SECTIONS else value
            for name, value in content.items()
        }

    def _expanded(self, value: Any, path: NodePath, source: NodePath, items: Mapping[str, str]) -> Any:
        """Return a value that is at `path` in the result and at `source` in the file, for these items of loops."""
        if items:
            self._count()
        match value:
            case str():
                return _substituted(value, items)
            case list():
                return [self._expanded(each, (*path, n), (*source, n), items) for n, each in enumerate(value)]
            case {"Ref": str(name)} if name in items:
                return items[name]
            case {"Fn::If": [str(condition), yes, no]}:
                # CloudFormation does not replace names of conditions here (cfn-lint, _language_extensions.py).
                branches = self._expanded([yes, no], (*path, "Fn::If"), (*source, "Fn::If"), items)
                return {"Fn::If": [condition, *branches]}
            case dict():
                return self._mapping(value, path, source, items)
        return value

    def _count(self) -> None:
        self._made += 1
        if self._made > MAX_VALUES:
            raise TooManyValues

    def _mapping(
        self, value: Mapping[Any, Any], path: NodePath, source: NodePath, items: Mapping[str, str]
    ) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, content, where, inner in self._members(value, source, items):
            if where != (*path, key):
                self.origins[*path, key] = where
            if key in found:
                self._note(f"`{key}`: a loop makes it more than once; only the last one is used.", where)
            found[key] = self._expanded(content, (*path, key), where, inner)
        return found

    def _members(self, value: Mapping[Any, Any], source: NodePath, items: Mapping[str, str]) -> Iterator[_Member]:
        """Yield the members of a mapping, with what its loops make."""
        for key, content in value.items():
            where = (*source, key)
            if isinstance(key, str) and key.startswith(f"{LOOP}::"):
                yield from self._repeated(key.removeprefix(f"{LOOP}::"), content, where, items)
            else:
                yield _substituted(key, items) if isinstance(key, str) else key, content, where, items

    def _repeated(self, name: str, content: Any, source: NodePath, items: Mapping[str, str]) -> Iterator[_Member]:
        match content:
            case [str(identifier), collection, dict(fragment)]:
                values = self._resolve(self._expanded(collection, source, source, items))
            case _:
                return self._note(f"`{name}`: a loop needs a name, a list and what is repeated; ignored.", source)
        if not isinstance(values, list) or any(isinstance(each, dict | list) for each in values):
            return self._note(f"`{name}`: the list of the loop is not known; ignored.", source)
        for each in values:
            self._count()
            yield from self._members(fragment, (*source, 2), {**items, identifier: as_text(each)})
        return None


def _substituted(text: str, items: Mapping[str, str]) -> str:
    """Return a text with the items of the loops in it. `&{Name}` takes only the letters and digits of an item."""

    def item(match: re.Match[str]) -> str:
        sign, name = match.groups()
        if name not in items:
            return match[0]
        return items[name] if sign == "$" else re.sub("[^0-9A-Za-z]", "", items[name])

    return _PLACEHOLDER.sub(item, text) if items else text
