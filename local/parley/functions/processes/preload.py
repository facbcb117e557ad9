"""The libraries that the functions import.

The zygote loads them once, so that the environments, its forks, need not: an environment starts in milliseconds
instead of seconds.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from parley.functions.processes.bootstrap import module_folders, own_modules
from parley.functions.processes.loading import Libraries
from parley.functions.variables import of_function, shared
from parley.template.model import PYTHON, Function

_MAX_FILES = 300
"""The number of files that are read of one folder: enough for its own code, too few for libraries copied beside it."""

_NOT_BEFORE_THE_FORK = {"awslambdaric", "runtime_client"}
"""Modules that read the environment's own variables at the moment when they are loaded."""

_SERVICE_OF = {"pynamodb": "dynamodb"}
"""The services that libraries call without the function's code naming them."""

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""The parts of a statement that hold other statements."""

_SERVICE_NAME = re.compile(rb"""["']([a-z][a-z0-9-]{1,40})["']""")


@dataclass(frozen=True, slots=True)
class ZygotePlan:
    """The libraries that a zygote loads, and the variables that it has meanwhile: those that all functions share.

    `own` are the functions' own modules and packages that they import, by their first names, for each folder of code.
    """

    libraries: Libraries
    variables: Mapping[str, str]
    own: Mapping[Path, frozenset[str]] = field(default_factory=dict)

    def has_other_variables(self, before: ZygotePlan) -> bool:
        """Tell if what was loaded by the plan before must not be used: variables or packages it read are others now."""
        return self.variables != before.variables or self.libraries.packages != before.libraries.packages

    def needs_more(self, before: ZygotePlan) -> bool:
        """Tell if there are libraries that the plan before has not."""
        return bool(set(self.libraries.modules) - set(before.libraries.modules))


def plan_for(functions: Iterable[Function]) -> ZygotePlan:
    """Return the plan for these functions, whose variables are final. Those of other interpreters are left out."""
    functions = [each for each in functions if forks(each)]
    values, others = shared(functions)
    folders = {folder for each in functions for folder in module_folders(str(each.code), of_function(each))}
    needed = needs(functions)
    own = sorted(own_modules(folders))
    packages = next((each.interpreter.packages for each in functions if each.interpreter), ())
    libraries = Libraries(needed.modules, sorted(others), own, needed.services, packages)
    return ZygotePlan(libraries, values, needed.own)


def forks(function: Function) -> bool:
    """Tell if a function's environments are forks of the zygote: if it runs in the emulator's own Python."""
    own = function.interpreter is None or function.interpreter.path == sys.executable
    return function.language == PYTHON and own


@dataclass(frozen=True, slots=True)
class Needs:
    """The modules of other packages that functions import, and the AWS services that they may call. Both sorted.

    `own` are the modules and packages of the code itself, by their first names, for each folder.
    """

    modules: list[str]
    services: list[str]
    own: Mapping[Path, frozenset[str]]


def needs(functions: Iterable[Function]) -> Needs:
    """Return what the functions need.

    The functions' files are parsed, not run: from the handler's module on, along the imports of the code's own files.
    `from a import b` also gives `a.b`, which need not be a module. A service is any text in the code that can be a name
    of one, as in `boto3.client("sqs")`.
    """
    handlers: dict[Path, set[str]] = {}
    for function in functions:
        handlers.setdefault(function.code, set()).add(function.handler.rpartition(".")[0].replace("/", "."))
    modules: set[str] = set()
    texts: set[str] = set()
    own: dict[Path, frozenset[str]] = {}
    for code, named in handlers.items():
        seen = set(named)
        for source, imports in _sources(code, seen):
            modules |= imports
            # Not by the syntax tree: to walk through all of it takes as long as to make it.
            texts |= {name.decode() for name in _SERVICE_NAME.findall(source)}
        tops = {name.partition(".")[0] for name in seen}
        own[code] = frozenset(top for top in tops if _is_own(code, top))
    libraries = {name.partition(".")[0] for name in modules}
    texts |= {service for library, service in _SERVICE_OF.items() if library in libraries}
    return Needs(sorted(modules), sorted(texts), own)


def imported_by(source: bytes) -> set[str]:
    """Return what a file imports, by the names in its text; nothing if Python cannot read it."""
    tree = _parsed(source)
    return set(_imported(tree, "")) if tree else set()


def _sources(code: Path, seen: set[str]) -> Iterator[tuple[bytes, set[str]]]:
    """Yield the text of these modules of one folder, and of the modules of the same folder that they import.

    Each comes with the names that it is the first to import from other packages. All names go into `seen`.
    """
    waiting = list(seen)
    elsewhere = sys.stdlib_module_names | _NOT_BEFORE_THE_FORK
    is_own = cache(partial(_is_own, code))
    looked: set[str] = set()
    read = 0
    while waiting and read < _MAX_FILES:
        for path, package in _files(code, waiting.pop(), looked):
            read += 1
            source = _content(path)
            if (tree := _parsed(source)) is None:
                continue
            new = set(_imported(tree, package)) - seen
            seen.update(new)
            own = {name for name in new if is_own(name.partition(".")[0])}
            waiting += own
            yield source, {name for name in new - own if name.partition(".")[0] not in elsewhere}


def _is_own(code: Path, top: str) -> bool:
    return (code / top).is_dir() or (code / f"{top}.py").is_file()


def _files(code: Path, module: str, looked: set[str]) -> Iterator[tuple[Path, str]]:
    """Yield the files that the import of a module runs, those of its packages included, each with its package.

    Modules and packages in `looked` are left out; the others go into it.
    """
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        name = ".".join(parts[:length])
        if name in looked:
            continue
        looked.add(name)
        path = code.joinpath(*parts[:length])
        if (path / "__init__.py").is_file():
            yield path / "__init__.py", name
        elif path.with_suffix(".py").is_file():
            yield path.with_suffix(".py"), name.rpartition(".")[0]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _parsed(source: bytes) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """Yield the absolute names that a file imports."""
    for node in _run_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def _base(node: ast.ImportFrom, package: str) -> str:
    parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    return ".".join([*parents, *([node.module] if node.module else [])])


def _run_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield a tree's statements, with the bodies of functions, but without blocks for type checkers only."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        for part in _BLOCKS:
            if part == "body" and isinstance(node, ast.If) and _is_type_checking(node.test):
                continue
            children = getattr(node, part, ())
            yield from children
            waiting += children


def _is_type_checking(test: ast.expr) -> bool:
    is_name = isinstance(test, ast.Name | ast.Attribute)
    return is_name and ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
