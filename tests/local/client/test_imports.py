"""The library stands alone: an installation without the extra `client` has what it needs."""

import ast
import sys
from pathlib import Path

import parley.client


def imported(module):
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_it_imports_websockets_and_the_standard_library():
    folder = Path(parley.client.__file__).parent
    names = {name for module in folder.glob("*.py") for name in imported(module)}
    others = {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}
    assert {name for name in others if not name.startswith("parley.client")} == {
        "websockets.asyncio.client",
        "websockets.exceptions",
        "websockets.frames",
    }


def test_its_types_are_for_type_checkers():
    assert (Path(parley.client.__file__).parent / "py.typed").exists()
