"""Which libraries the functions import: what the zygote loads so that their environments need not."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from local.template import Function

_FILES = 300
"""Most files read of one function: enough for its own code, too little for libraries that were copied beside it."""

_NOT_BEFORE_THE_FORK = {"awslambdaric", "runtime_client"}


def heavy_imports(functions: Iterable[Function]) -> list[str]:
    """Return the modules that the functions import and that neither Python nor their own code has, sorted.

    `from a import b` gives `a.b` too, which may be a module or not. The functions' files are read, not run:
    from the handler's module on, along the imports that lead to the code's own files.
    """
    names = {name for function in functions for name in _third_party(function)}
    return sorted(names)


def _third_party(function: Function) -> Iterator[str]:
    waiting = [function.handler.rpartition(".")[0].replace("/", ".")]
    seen = set(waiting)
    read = 0
    while waiting and read < _FILES:
        for path, package in _files(function.code, waiting.pop()):
            read += 1
            for name in _imported(path, package):
                if name in seen:
                    continue
                seen.add(name)
                if _is_own(function.code, name):
                    waiting.append(name)
                elif name.partition(".")[0] not in sys.stdlib_module_names | _NOT_BEFORE_THE_FORK:
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
    """Walk a tree, but not into what is there for type checkers only."""
    for child in ast.iter_child_nodes(tree):
        yield child
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            child = ast.Module(body=child.orelse, type_ignores=[])
        yield from _run_nodes(child)
