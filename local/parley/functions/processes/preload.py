"""The libraries that the functions import.

The zygote loads them once, so that the environments, its forks, need not: an environment starts in milliseconds
instead of seconds.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from parley.functions.processes.bootstrap import module_folders, own_modules
from parley.functions.processes.loading import Libraries
from parley.functions.variables import of_function, shared
from parley.template.model import Function

_MAX_FILES = 300
"""The number of files that are read of one folder: enough for its own code, too few for libraries copied beside it."""

_NOT_BEFORE_THE_FORK = {"awslambdaric", "runtime_client"}
"""Modules that read the environment's own variables at the moment when they are loaded."""

_SERVICE_OF = {"pynamodb": "dynamodb"}
"""The services that libraries call without the function's code naming them."""

_SERVICE_NAME = re.compile(rb"""["']([a-z][a-z0-9-]{1,40})["']""")


@dataclass(frozen=True, slots=True)
class ZygotePlan:
    """The libraries that a zygote loads, and the variables that it has meanwhile: those that all functions share."""

    libraries: Libraries
    variables: Mapping[str, str]


def plan_for(functions: Iterable[Function]) -> ZygotePlan:
    """Return the plan for these functions, whose variables are final."""
    functions = list(functions)
    values, others = shared(functions)
    folders = {folder for each in functions for folder in module_folders(str(each.code), of_function(each))}
    needed = needs(functions)
    own = sorted(own_modules(folders))
    return ZygotePlan(Libraries(needed.modules, sorted(others), own, needed.services), values)


@dataclass(frozen=True, slots=True)
class Needs:
    """The modules of other packages that functions import, and the AWS services that they may call. Both sorted."""

    modules: list[str]
    services: list[str]


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
    for code, own in handlers.items():
        for source, imports in _sources(code, own):
            modules |= imports
            # Not by the syntax tree: to walk through all of it takes as long as to make it.
            texts |= {name.decode() for name in _SERVICE_NAME.findall(source)}
    libraries = {name.partition(".")[0] for name in modules}
    texts |= {service for library, service in _SERVICE_OF.items() if library in libraries}
    return Needs(sorted(modules), sorted(texts))


def _sources(code: Path, modules: set[str]) -> Iterator[tuple[bytes, set[str]]]:
    """Yield the text of these modules of one folder, and of the modules of the same folder that they import.

    Each comes with the names that it is the first to import from other packages.
    """
    waiting, seen = list(modules), set(modules)
    elsewhere = sys.stdlib_module_names | _NOT_BEFORE_THE_FORK
    read: set[Path] = set()
    while waiting and len(read) < _MAX_FILES:
        for path, package in _files(code, waiting.pop()):
            if path in read:
                continue
            read.add(path)
            source = _content(path)
            if (tree := _parsed(source)) is None:
                continue
            new = set(_imported(tree, package)) - seen
            seen |= new
            own = {name for name in new if _is_own(code, name)}
            waiting += own
            yield source, {name for name in new - own if name.partition(".")[0] not in elsewhere}


def _is_own(code: Path, name: str) -> bool:
    top = name.partition(".")[0]
    return (code / top).is_dir() or (code / f"{top}.py").is_file()


def _files(code: Path, module: str) -> Iterator[tuple[Path, str]]:
    """Return the files that the import of a module runs, those of its packages included, each with its package."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        name = ".".join(parts[:length])
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
    except (SyntaxError, ValueError):
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
    for field in ("body", "orelse", "finalbody", "handlers"):
        for child in getattr(tree, field, ()):
            if not isinstance(child, ast.If) or not _is_type_checking(child.test):
                yield child
                yield from _run_nodes(child)
            else:
                for alternative in child.orelse:
                    yield alternative
                    yield from _run_nodes(alternative)


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
