"""Docstrings of tools: the description of the function, and those of its parameters, in Google's style.

https://google.github.io/styleguide/pyguide.html#383-functions-and-methods has the style.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import cleandoc

_OF_PARAMETERS = ("args", "arguments", "parameters", "params")
_OF_CODE = ("raises", "example", "examples")
"""Sections for those who read the code."""

_SECTION = re.compile(r"(\w+):\s*")
_PARAMETER = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")


@dataclass(frozen=True, slots=True)
class Described:
    """A docstring: the text about the function, and the texts about its parameters."""

    text: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def described(docstring: str) -> Described:
    """Read a docstring. What it says of parameters and errors is left out of its text."""
    text: list[str] = []
    parameters: dict[str, str] = {}
    section, name, indent = "", "", 0
    for line in cleandoc(docstring).splitlines():
        if line and not line[0].isspace():
            heading = _SECTION.fullmatch(line)
            section, name, indent = (heading[1].lower() if heading else ""), "", 0
            if section in _OF_PARAMETERS:
                continue
        if section in _OF_PARAMETERS:
            depth = len(line) - len(line.lstrip())
            indent = indent or depth
            if depth == indent and (found := _PARAMETER.fullmatch(line.strip())):
                name = found[1]
                parameters[name] = found[2]
            elif name and depth > indent:
                parameters[name] = f"{parameters[name]} {line.strip()}".strip()
        elif section not in _OF_CODE:
            text.append(line)
    return Described("\n".join(text).strip(), parameters)
