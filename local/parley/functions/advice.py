"""Advice for a function that does not start: the next step, found from its error."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parley.template.model import NODE, PROVIDED, PYTHON, Function

_NOT_STARTED = ("Runtime.LaunchError", "Runtime.InvalidEntrypoint")
"""The errors of a process that there never was."""

_NO_MODULE = re.compile(r"Cannot find (?:module|package) '([^']+)'")
_NO_PYTHON_MODULE = re.compile(r"No module named '([^']+)'")
_BUILT_FOR = re.compile(r"cpython-(\d)(\d+)")
_REQUEST_ID = re.compile(r"RequestId: \S+ Error: ")
_SOURCES = (".ts", ".mts", ".cts", ".tsx")


def start_failure(function: Function, error: Mapping[str, Any]) -> str:
    """Return the line on a function that does not start, from the error that the Runtime API got."""
    kind, text = str(error.get("errorType")), _REQUEST_ID.sub("", str(error.get("errorMessage")))
    said = (text.splitlines() or [""])[0].removesuffix(".")
    if kind in _NOT_STARTED:
        how = said
    elif function.language == PROVIDED:
        how = f"its `bootstrap` ended with {kind}: {said}"
    else:
        how = f"the import of its handler {function.handler} ended with {kind}: {said}"
    step = next_step(function, kind, said)
    return " ".join([f"Function {function.name} does not start: {how}. Every invocation of it will fail.", *step])


def next_step(function: Function, kind: str, text: str) -> list[str]:
    """Return what the developer can do about an error of the start; nothing if the error says it."""
    if "Exec format error" in text:
        return [f"Build it for this machine: {platform.system()} on {platform.machine()}."]
    if kind in _NOT_STARTED:
        return []
    if function.language == PROVIDED:
        return ["Its own lines above may say why."]
    if function.language == NODE and (missing := _NO_MODULE.search(text)):
        return [_for_missing_module(function, missing[1])]
    if function.language == PYTHON and (missing := _NO_PYTHON_MODULE.search(text)):
        return [_for_missing_python_module(function, missing[1])]
    return ["Correct the handler."]


def _for_missing_python_module(function: Function, module: str) -> str:
    *packages, name = module.split(".")
    built = next(function.code.joinpath(*packages).glob(f"{name}.cpython-*"), None)
    if built and (version := _BUILT_FOR.search(built.name)):
        return (
            f"The code has it for Python {version[1]}.{version[2]} only ({built}): "
            f"build it again for {function.runtime}, or install that Python."
        )
    if module == function.handler.partition(".")[0].partition("/")[0]:
        return f"Correct the handler, or the folder of the code: {function.code}."
    return "Add its package to requirements.txt in the folder of the code, or name an environment with --python .venv."


def _for_missing_module(function: Function, module: str) -> str:
    if source := _source(function):
        return f"{source} is not JavaScript: build it (for example by `sam build`), and name the template of the build."
    if module == "aws-sdk":
        return f"Lambda brings the SDK v2 up to nodejs16.x only: run `npm install aws-sdk` in {function.code}."
    if module.startswith("@aws-sdk/"):
        return f"Lambda brings it from nodejs18.x on; here run `npm install {module}` in {function.code}."
    if module.startswith((".", "/")) or Path(function.handler).name.partition(".")[0] == module:
        return f"Correct the handler, or the folder of the code: {function.code}."
    return f"Run `npm install` in {function.code}."


def _source(function: Function) -> Path | None:
    """Return the file of the handler in a language that Node does not run."""
    base = function.code / function.handler.rpartition(".")[0]
    return next((file for suffix in _SOURCES if (file := base.with_name(base.name + suffix)).is_file()), None)
