"""Python files that Python can read, and those that it cannot."""

import pytest
from parley.emulator.reload.sources import Sources


@pytest.fixture
def code(tmp_path):
    code = tmp_path / "code"
    (code / "part").mkdir(parents=True)
    (code / "app.py").write_text("import part.one\n")
    (code / "part" / "one.py").write_text("A = 1\n")
    (code / "data.json").write_text("{}")
    return code


@pytest.fixture
def sources(code):
    return Sources([code], {})


def test_a_good_change_is_taken(sources, code):
    (code / "app.py").write_text("B = 2\n")
    assert sources.take(code, {code / "app.py"}) == []
    assert sources.current(code) == code


def test_one_that_python_cannot_read_is_told_and_the_code_before_it_is_there(sources, code):
    (code / "part" / "one.py").write_text("A = 1\nA = (\n")
    [error] = sources.take(code, {code / "part" / "one.py"})
    assert error == "one.py, line 2: '(' was never closed"
    before = sources.current(code)
    assert (before / "part" / "one.py").read_text() == "A = 1\n"
    assert (before / "app.py").read_text() == "import part.one\n"
    assert (before / "data.json").read_text() == "{}"


def test_other_changes_wait_until_all_can_be_read(sources, code):
    (code / "part" / "one.py").write_text("A = (\n")
    sources.take(code, {code / "part" / "one.py"})
    (code / "app.py").write_text("NEW = 1\n")
    assert sources.take(code, {code / "app.py"})
    assert (sources.current(code) / "app.py").read_text() == "import part.one\n"
    (code / "part" / "one.py").write_text("A = 3\n")
    assert sources.take(code, {code / "part" / "one.py"}) == []
    assert sources.current(code) == code
    (code / "app.py").write_text("(\n")
    sources.take(code, {code / "app.py"})
    assert (sources.current(code) / "app.py").read_text() == "NEW = 1\n"
    assert (sources.current(code) / "part" / "one.py").read_text() == "A = 3\n"


@pytest.mark.parametrize("content", [b"\0", b"\xff\xfe", b"x = '\\d'\n(", b"a\n  b"])
def test_every_way_of_being_no_python_is_told(sources, code, content):
    (code / "app.py").write_bytes(content)
    [error] = sources.take(code, {code / "app.py"})
    assert error.startswith("app.py")
    assert "\n" not in error


def test_what_is_no_python_is_taken_as_it_is(sources, code):
    (code / "data.json").write_text("{{{")
    assert sources.take(code, {code / "data.json"}) == []


def test_bytecode_of_a_changed_file_is_removed(sources, code):
    (code / "__pycache__").mkdir()
    compiled = [
        code / "__pycache__" / name
        for name in ("app.cpython-311.pyc", "app.cpython-314.opt-1.pyc", "apple.cpython-311.pyc")
    ]
    for each in compiled:
        each.touch()
    sources.take(code, {code / "app.py"})
    assert [each.exists() for each in compiled] == [False, False, True]


def test_a_folder_that_is_gone_for_now_is_no_change(sources, code):
    code.rename(code.with_name("aside"))
    assert sources.take(code, {code / "app.py"})
    before = sources.current(code)
    assert (before / "app.py").read_text() == "import part.one\n"
    assert (before / "part" / "one.py").read_text() == "A = 1\n"
    code.with_name("aside").rename(code)
    assert sources.take(code, {code, code / "app.py"}) == []
    assert sources.current(code) == code


def test_a_new_import_is_noticed(sources, code):
    for source, more in (
        ("import part.one, json\n", True),
        ("import json\n", False),
        ("(", False),
        ("import re", True),
    ):
        (code / "app.py").write_text(source)
        sources.take(code, {code / "app.py"})
        assert sources.imports_more() is more
        assert not sources.imports_more()


def test_in_a_project_only_what_the_functions_import_must_be_readable(code):
    sources = Sources([code], {code: frozenset({"app"})})
    (code / "part" / "one.py").write_text("(")
    assert sources.take(code, {code / "part" / "one.py"}) == []
    assert sources.has(code, code / "app.py")
    assert not sources.has(code, code / "part" / "one.py")
    assert sources.may_load(code, code / "part" / "one.py")
    assert not sources.may_load(code, code / "tests" / "test_app.py")
    (code / "app.py").write_text("(")
    assert sources.take(code, {code / "app.py"})
    assert (sources.current(code) / "app.py").read_text() == "import part.one\n"


def test_what_another_python_runs_is_not_checked(sources, code):
    sources.unchecked = frozenset({code})
    (code / "app.py").write_text("print 'of an older Python'\n")
    assert sources.take(code, {code / "app.py"}) == []
    assert sources.current(code) == code
