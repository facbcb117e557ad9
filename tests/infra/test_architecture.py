"""Import rules, sizes and docstrings: the walls that keep the code navigable (docs/architecture.md)."""

from __future__ import annotations

import ast
import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
CODE = (ROOT / "handlers", ROOT / "local" / "parley")
SOURCES = [source for folder in CODE for source in sorted(folder.rglob("*.py"))]

MAX_FUNCTION_LINES = 50
MAX_CONSTRUCTOR_PARAMETERS = 8
MAX_OWN_IMPORTS = 10
COMPOSITION = {"handlers/wiring.py", "local/parley/emulator/application.py"}
"""The modules that put the parts together: they may import as many as there are."""

QUESTION_WORDS = ("What", "Who", "Whose", "How", "Which", "Whether", "Where")


def name_of(source: Path) -> str:
    return str(source.relative_to(ROOT))


def handlers_room(module: str) -> str | None:
    """Return the room of a module: an entry point, `http`, or a part of `handlers.chat`, which may be a package.

    The files of assistants are no rooms: each deployment has its own, and nothing imports them.
    """
    parts = module.split(".")
    if parts[1:2] == ["assistants"]:
        return None
    if parts[1:2] == ["chat"]:
        return ".".join(parts[1:3]) if len(parts) > 2 else None
    return parts[1] if len(parts) > 1 else None


def parley_room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def arrows(package: str, room_of: Callable[[str], str | None]) -> tuple[set[str], set[tuple[str, str]]]:
    """Return the rooms of a package, and the imports between them: each pair once."""
    graph = grimp.build_graph(package)
    rooms = {module: room for module in graph.modules if (room := room_of(module))}
    between = {
        (room, rooms[imported])
        for module, room in rooms.items()
        for imported in graph.find_modules_directly_imported_by(module)
        if imported in rooms and rooms[imported] != room
    }
    return set(rooms.values()), between


def test_handlers_have_few_rooms_and_arrows():
    rooms, between = arrows("handlers", handlers_room)
    assert len(rooms) <= 30
    assert len(between) <= 150


def test_the_emulator_has_few_arrows_between_its_packages():
    _, between = arrows("parley", parley_room)
    assert len([pair for pair in between if "operations" not in pair]) <= 60


def test_operations_on_aws_need_only_templates_of_the_emulator():
    _, between = arrows("parley", parley_room)
    assert {pair for pair in between if "operations" in pair} == {
        ("cli", "operations"),
        ("operations", "errors"),
        ("operations", "template"),
    }


def test_nothing_names_the_files_of_assistants_and_they_need_no_more_than_their_class():
    """So a new one is one file and no other change, and none can reach around what the domain decides."""
    graph = grimp.build_graph("handlers")
    own = {module for module in graph.modules if module.split(".")[1:2] == ["assistants"]}
    assert {"handlers.assistants", "handlers.assistants.default"} <= own
    imported = set().union(*map(graph.find_modules_directly_imported_by, own)) - own
    assert {".".join(module.split(".")[:3]) for module in imported} == {"handlers.chat.assistants"}
    assert not set().union(*map(graph.find_modules_that_directly_import, own)) - own


@pytest.mark.parametrize(("package", "room_of"), [("handlers", handlers_room), ("parley", parley_room)])
def test_no_rooms_import_each_other_in_a_circle(package, room_of):
    _, between = arrows(package, room_of)
    imports: dict[str, set[str]] = {}
    for room, imported in between:
        imports.setdefault(room, set()).add(imported)
    free = set[str]()
    while ready := {room for room in imports if room not in free and imports[room] & imports.keys() <= free}:
        free |= ready
    assert imports.keys() <= free, f"in a circle: {sorted(imports.keys() - free)}"


def lint_imports(folder: Path) -> str:
    """Return the report of the import contracts on the code in a folder, which must not hold."""
    command = [Path(sys.executable).with_name("lint-imports"), "--config", ROOT / "pyproject.toml", "--no-cache"]
    environment = {"PYTHONPATH": f"{folder}:{folder / 'local'}", "PATH": "/usr/bin:/bin", "COLUMNS": "500"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for folder in CODE:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(folder, tmp_path / folder.relative_to(ROOT), ignore=ignored)
    return tmp_path


def packages(folder: Path) -> Iterator[Path]:
    """Yield the folders of `handlers` that hold modules."""
    yield from sorted({source.parent for source in folder.rglob("*.py")})


HOMES = {
    "pynamodb": {"handlers/chat/store"},
    "fastapi": {"handlers/http", "handlers"},
    "mangum": {"handlers/http", "handlers"},
    "openai": {"handlers/chat/replies"},
}
"""Packages that may be imported in a folder only. `fastapi` and `mangum` are `api`'s too, which lies in `handlers`."""


def test_a_wall_cannot_be_walked_around(copy):
    """Plant each import in a new module of every folder that must not have it, and in an entry point."""
    planted = []
    for library, homes in HOMES.items():
        for folder in packages(copy / "handlers"):
            if str(folder.relative_to(copy)) not in homes:
                module = folder / f"planted_{library}.py"
                module.write_text(f"import {library}\n")
                planted.append((".".join(module.relative_to(copy).with_suffix("").parts), library))
        expire = copy / "handlers" / "expire.py"
        expire.write_text(f"{expire.read_text()}\nimport {library}\n")
        planted.append(("handlers.expire", library))
    report = lint_imports(copy)
    walked = [f"{module} -> {library}" for module, library in planted if f"{module} -> {library}" not in report]
    assert not walked


@pytest.mark.parametrize("module", ["handlers/planted.py", "handlers/chat/planted.py", "local/parley/planted.py"])
def test_a_new_module_needs_a_place(copy, module):
    (copy / module).write_text("")
    assert "planted" in lint_imports(copy)


def test_an_import_that_runs_upward_is_seen(copy):
    records = copy / "handlers" / "chat" / "records.py"
    records.write_text(f"{records.read_text()}\nimport handlers.chat.protocol.frames\n")
    assert "handlers.chat.records -> handlers.chat.protocol.frames" in lint_imports(copy)


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    return {source: ast.parse(source.read_text()) for source in SOURCES}


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_functions_fit_on_a_screen(trees):
    long = [
        f"{name_of(source)}:{function.lineno} {function.name}"
        for source, tree in trees.items()
        for function in functions(tree)
        if (function.end_lineno or 0) - function.lineno >= MAX_FUNCTION_LINES
    ]
    assert not long


def test_constructors_take_few_parameters(trees):
    wide = [
        f"{name_of(source)}:{function.lineno}"
        for source, tree in trees.items()
        for function in functions(tree)
        if function.name == "__init__"
        and len(function.args.args) + len(function.args.kwonlyargs) - 1 > MAX_CONSTRUCTOR_PARAMETERS
    ]
    assert not wide


def test_modules_import_few_of_ours(trees):
    many = []
    for source, tree in trees.items():
        own = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("handlers", "parley")
        ]
        if len(own) > MAX_OWN_IMPORTS and name_of(source) not in COMPOSITION:
            many.append(f"{name_of(source)}: {len(own)}")
    assert not many


def test_docstrings_say_what_a_thing_is(trees):
    """A docstring begins with a noun or a verb, not with a question word: one reading must be enough."""
    questions = []
    tests = ((source, ast.parse(source.read_text())) for source in sorted((ROOT / "tests").rglob("*.py")))
    for source, tree in itertools.chain(trees.items(), tests):
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                words = (ast.get_docstring(node) or "").split(None, 1)
                if words and words[0].rstrip(",:;'s") in QUESTION_WORDS:
                    questions.append(f"{name_of(source)}:{getattr(node, 'lineno', 1)} {words[0]}")
    assert not questions
