"""JSON values in a Velocity template: objects, lists and booleans with Java's methods and Java's spelling.

A missing value is empty text, as in API Gateway (a guess for null). As text, an object is `{key=value}`: `$context` is
so on AWS (a public transcript of 2022). A list as `[a, b]` is a guess by analogy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def to_velocity(value: Any) -> Any:
    """Return a JSON value as templates see it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return VelocityBoolean(value)
    if isinstance(value, Mapping):
        return VelocityObject(value)
    return VelocityList(map(to_velocity, value)) if isinstance(value, list) else value


def from_velocity(value: Any) -> Any:
    """Return the JSON value of what templates see."""
    if isinstance(value, VelocityObject):
        return value.members
    if isinstance(value, VelocityBoolean):
        return bool(value)
    return [from_velocity(each) for each in value] if isinstance(value, list) else value


class VelocityBoolean(int):
    """A boolean. `#if` tests it as a number, and as text it is `true` or `false`.

    Python's `bool` would print as `True`, and cannot be subclassed.
    """

    def __str__(self) -> str:
        return "true" if self else "false"


class VelocityList(list[Any]):
    """A list with Java's methods."""

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self))}]"

    def size(self) -> int:  # noqa: D102
        return len(self)

    def get(self, index: int) -> Any:  # noqa: D102
        return self[index]

    def contains(self, value: Any) -> bool:  # noqa: D102
        return value in self

    def isEmpty(self) -> VelocityBoolean:  # noqa: D102, N802
        return VelocityBoolean(not self)

    def add(self, value: Any) -> str:  # noqa: D102
        self.append(value)
        return ""


class VelocityObject:
    """An object. A member comes before a method of the same name. `#foreach` iterates over the values, as in Java."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self.members = dict(members)

    def __getitem__(self, name: str) -> Any:
        if name in self.members:
            return to_velocity(self.members[name])
        if name in _METHODS:
            raise KeyError(name)  # makes the engine look for a method
        return ""  # so that `#if($input.path('$').missing)` is false, and its text empty

    def __setitem__(self, name: str, value: Any) -> None:
        self.members[name] = from_velocity(value)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values())

    def __len__(self) -> int:
        return len(self.members)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VelocityObject) and self.members == other.members

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return (
            "{"
            + ", ".join(f"{name}={_as_text(to_velocity(value), value)}" for name, value in self.members.items())
            + "}"
        )

    def size(self) -> int:  # noqa: D102
        return len(self)

    def get(self, name: str) -> Any:  # noqa: D102
        return self[name] if name in self.members else ""

    def put(self, name: str, value: Any) -> str:  # noqa: D102
        self[name] = value
        return ""

    def isEmpty(self) -> VelocityBoolean:  # noqa: D102, N802
        return VelocityBoolean(not self.members)

    def containsKey(self, name: str) -> VelocityBoolean:  # noqa: D102, N802
        return VelocityBoolean(name in self.members)

    def keySet(self) -> VelocityList:  # noqa: D102, N802
        return VelocityList(self.members)

    def values(self) -> VelocityList:  # noqa: D102
        return VelocityList(map(to_velocity, self.members.values()))

    def entrySet(self) -> VelocityList:  # noqa: D102, N802
        return VelocityList(VelocityObject({"key": name, "value": value}) for name, value in self.members.items())


def _as_text(value: Any, origin: Any) -> str:
    return "null" if origin is None else str(value)


_METHODS = {name for name in vars(VelocityObject) if not name.startswith("_")}

STRING_METHODS = {
    "contains": lambda text, part: VelocityBoolean(part in text),
    "endsWith": lambda text, end: VelocityBoolean(text.endswith(end)),
    "equals": lambda text, other: VelocityBoolean(text == other),
    "indexOf": lambda text, part: text.find(part),
    "isEmpty": lambda text: VelocityBoolean(not text),
    "length": len,
    "startsWith": lambda text, start: VelocityBoolean(text.startswith(start)),
    "substring": lambda text, start, stop=None: text[start:stop],
    "toLowerCase": str.lower,
    "toString": str,
    "toUpperCase": str.upper,
    "trim": str.strip,
}
"""Java's methods of strings, which templates call and Python names differently."""
