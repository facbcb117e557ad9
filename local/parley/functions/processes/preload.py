"""Which libraries the functions import: what the zygote loads so that their environments need not."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from parley.template.model import Function

_FILES = 300
"""Most files read of one folder: enough for its own code, too little for libraries that were copied beside it."""

_NOT_BEFORE_THE_FORK = {"awslambdaric", "runtime_client"}


def heavy_imports(functions: Iterable[Function]) -> list[str]:
    """Return the modules that the functions import and that neither Python nor their own code has, sorted.

    `from a import b` gives `a.b` too, which may be a module or not. The functions' files are read, not run:
    from the handler's module on, along the imports that lead to the code's own files.
    """
    handlers: dict[Path, set[str]] = {}
    for function in functions:
        handlers.setdefault(function.code, set()).add(function.handler.rpartition(".")[0].replace("/", "."))
    return sorted({name for code, modules in handlers.items() for name in _third_party(code, modules)})


def _third_party(code: Path, modules: set[str]) -> Iterator[str]:
    """Return what the modules of one folder import, and what those of the folder that they import do."""
    waiting, seen = list(modules), set(modules)
    elsewhere = sys.stdlib_module_names | _NOT_BEFORE_THE_FORK
    read: set[Path] = set()
    while waiting and len(read) < _FILES:
        for path, package in _files(code, waiting.pop()):
            if path in read:
                continue
            read.add(path)
            for name in set(_imported(path, package)) - seen:
                seen.add(name)
                if _is_own(code, name):
                    waiting.append(name)
                elif name.partition(".")[0] not in elsewhere:
                    yield name


def _is_own(code: Path, name: str) -> bool:
    top = name.partition(".")[0]
    return (code / top).is_dir() or (code / f"{top}.py").is_file()


def _files(code: Path, module: str) -> Iterator[tuple[Path, str]]:
    """Return the files that importing a module runs, its packages' among them, each with its package."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        name = ".".join(parts[:length])
        path = code.joinpath(*parts[:length])
        if (path / "__init__.py").is_file():
            yield path / "__init__.py", name
        elif path.with_suffix(".py").is_file():
            yield path.with_suffix(".py"), name.rpartition(".")[0]


def _imported(path: Path, package: str) -> Iterator[str]:
    """Return the absolute names that a file imports."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
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
    """Walk a tree's statements, functions' bodies included, but not into what is there for type checkers only."""
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
