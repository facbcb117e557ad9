"""The order of the tests themselves: their imports, their helpers, their size."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
MODULES = sorted(module for module in TESTS.rglob("*.py") if "node_modules" not in module.parts)
TEST_MODULES = [module for module in MODULES if module.name.startswith("test_")]
MAX_LINES = 500


def name_of(module: Path) -> str:
    return str(module.relative_to(TESTS))


@functools.cache
def tree_of(module: Path) -> ast.Module:
    return ast.parse(module.read_text())


def imported(module: Path) -> Iterator[str]:
    """Return the names of the modules that a module imports, and of what it imports from them."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_test_class(node: ast.ClassDef) -> bool:
    """Tell whether pytest collects a class, or Hypothesis plays it."""
    bases = [ast.unparse(base) for base in node.bases]
    return node.name.startswith("Test") or "RuleBasedStateMachine" in bases


def classes_of(module: Path) -> list[ast.ClassDef]:
    return [node for node in tree_of(module).body if isinstance(node, ast.ClassDef)]


def test_nothing_imports_a_test_module():
    found = {
        f"{name_of(module)} imports {name}"
        for module in MODULES
        for name in imported(module)
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split("."))
    }
    assert found == set()


def test_test_modules_have_no_classes_but_tests():
    """Fakes, clients and servers have their places in tests/support."""
    found = [
        f"{name_of(module)} {node.name}"
        for module in TEST_MODULES
        for node in classes_of(module)
        if not is_test_class(node)
    ]
    assert found == []


def test_files_have_500_lines_at_most():
    sizes = {name_of(module): len(module.read_text().splitlines()) for module in MODULES}
    assert {name: size for name, size in sizes.items() if size > MAX_LINES} == {}
