"""Commands that run functions which the zygote does not fork: those in Node and other Pythons, and executables."""

from __future__ import annotations

import os

from parley.functions.invocation import LaunchError
from parley.functions.processes.memory import RUNTIME_MB
from parley.functions.processes.preload import forks
from parley.functions.variables import CLIENTS
from parley.template.model import NODE, PROVIDED, Function

_FLAGS_OF_RUNTIMES = {
    "nodejs20.x": ("--no-experimental-require-module",),
    "nodejs22.x": ("--no-experimental-require-module", "--no-experimental-detect-module"),
}
"""What newer versions of Node turn on and Lambda's runtimes turn off: developer guide, "Building Lambda functions with
Node.js", the table of experimental features."""

_PROGRAM_MB = 20.0
"""The memory of a program's own file."""

_FLAGS_SINCE = (20, 19)
"""The version of Node that first has all these flags."""


def command(function: Function) -> tuple[str, ...]:
    """Return the command that starts a function's process; empty for one that the zygote forks.

    Raises `LaunchError` if there is nothing that could run it.
    """
    if function.language == PROVIDED:
        return (_bootstrap(function),)
    if function.language == NODE:
        return _node(function)
    return () if forks(function) else _python(function)


def shared_mb(function: Function) -> float:
    """Return how many MB of a process are not counted as its own, but are on AWS: the runtime's.

    An environment in Python shares AWS's runtime with the zygote. Others share the program's own file.
    """
    return RUNTIME_MB if forks(function) else _PROGRAM_MB


def _bootstrap(function: Function) -> str:
    """Return the executable of a function: in its code, else in its layers."""
    for folder in (function.code, *reversed(function.layers)):
        file = folder / "bootstrap"
        if file.is_file():
            if not os.access(file, os.X_OK):
                raise LaunchError(f"{file} is not executable. Run `chmod +x {file}`.", "Runtime.InvalidEntrypoint")
            return str(file.absolute())
    raise LaunchError(
        f"Couldn't find valid bootstrap(s): there is no `bootstrap` in {function.code.absolute()}, nor in a layer. "
        "Build the function (for example by `sam build`), and name the template of the build.",
        "Runtime.InvalidEntrypoint",
    )


def _node(function: Function) -> tuple[str, ...]:
    interpreter = function.interpreter
    if interpreter is None or not interpreter.path:
        raise LaunchError("There is no Node of version 20 or later here.")
    options = function.environment.get("NODE_OPTIONS", "")
    flags = [each for each in _flags(function, interpreter.version) if not _is_set(each, options)]
    return (interpreter.path, *flags, str(CLIENTS / "node" / "main.cjs"))


def _python(function: Function) -> tuple[str, ...]:
    interpreter = function.interpreter
    if interpreter is None or not interpreter.path:
        raise LaunchError("There is no Python of this version here.")
    # Without `site` it does not look for installed packages: it has those that are named.
    flags = ("-S",) if interpreter.packages else ()
    return (interpreter.path, *flags, str(CLIENTS / "python" / "main.py"), *interpreter.packages)


def _flags(function: Function, version: tuple[int, int]) -> tuple[str, ...]:
    # Of the memory nine tenths are for old objects, as in AWS's image.
    memory = f"--max-old-space-size={function.memory * 9 // 10}"
    return (memory, *(_FLAGS_OF_RUNTIMES.get(function.runtime, ()) if version >= _FLAGS_SINCE else ()))


def _is_set(flag: str, options: str) -> bool:
    """Tell if the function's own options are about the same thing."""
    name = flag.partition("=")[0].removeprefix("--").removeprefix("no-")
    return name in options.replace("_", "-")
