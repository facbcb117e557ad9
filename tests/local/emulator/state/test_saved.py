"""Saved states: by name, in a file, and the empty one."""

import json
import shutil
import sqlite3
import zipfile
from contextlib import closing

import pytest
from parley.emulator.state import saved
from parley.emulator.state.folder import FORMAT, DataFolder
from parley.errors import StartError


@pytest.fixture
def path(tmp_path):
    path = tmp_path / ".parley"
    DataFolder.open(path).close()
    write(path, "first")
    return path


def write(path, text):
    """Put a text into the tables of the current state, and leave it in the write-ahead log."""
    with closing(sqlite3.connect(path / "current" / "tables.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE IF NOT EXISTS texts (text TEXT)")
        database.execute("INSERT INTO texts VALUES (?)", (text,))
        database.commit()


def texts(path):
    if not (path / "current" / "tables.db").exists():
        return []
    with closing(sqlite3.connect(path / "current" / "tables.db")) as database:
        return [text for (text,) in database.execute("SELECT text FROM texts")]


def refused(action, *arguments, **options):
    with pytest.raises(StartError) as error:
        action(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def names(path):
    return {each.name for each in saved.states(path)}


def test_a_state_comes_back(path):
    saved.save(path, "one")
    write(path, "second")
    saved.restore(path, "one")
    assert texts(path) == ["first"]
    saved.restore(path, "previous")
    assert texts(path) == ["first", "second"]


def test_it_is_saved_while_somebody_writes(path):
    with closing(sqlite3.connect(path / "current" / "tables.db")) as other:
        other.execute("INSERT INTO texts VALUES ('committed')")
        other.commit()
        other.execute("INSERT INTO texts VALUES ('not committed')")
        saved.save(path, "one")
        other.rollback()
    saved.restore(path, "one")
    assert texts(path) == ["first", "committed"]


def test_a_reset_begins_with_nothing_and_can_be_undone(path):
    saved.reset(path)
    assert texts(path) == []
    DataFolder.open(path).close()
    saved.restore(path, "previous")
    assert texts(path) == ["first"]


def test_a_damaged_state_can_be_reset(path):
    (path / "current" / "version.json").write_text("{")
    (path / "current" / "tables.db").write_text("rubbish")
    saved.reset(path)
    DataFolder.open(path).close()
    assert "damaged" in refused(saved.restore, path, "previous")
    assert texts(path) == []


def test_a_state_goes_to_another_folder(path, tmp_path):
    saved.export(path, tmp_path / "state.zip")
    other = tmp_path / "other"
    saved.import_from(other, tmp_path / "state.zip")
    assert texts(other) == ["first"]
    DataFolder.open(other).close()


def test_names_are_listed_the_newest_first(path):
    for name in ("one", "two"):
        saved.save(path, name)
    assert names(path) == {"one", "two"}
    assert all(each.size > 0 for each in saved.states(path))
    assert saved.states(path / "none") == []


def test_nothing_is_replaced_without_being_asked(path, tmp_path):
    saved.save(path, "one")
    write(path, "second")
    assert "--force" in refused(saved.save, path, "one")
    saved.save(path, "one", replaces=True)
    saved.reset(path)
    saved.restore(path, "one")
    assert texts(path) == ["first", "second"]
    (tmp_path / "mine.txt").write_text("mine")
    assert "--force" in refused(saved.export, path, tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["", "..", "../other", "a/b", ".hidden", "-f", "x" * 65, "previous"])
def test_a_name_that_is_none_is_refused(path, name):
    refused(saved.save, path, name)
    assert [each.name for each in path.parent.iterdir()] == [".parley"]


def test_a_state_that_there_is_not_is_told_with_those_that_there_are(path):
    saved.save(path, "one")
    assert "there are: one" in refused(saved.restore, path, "two")
    assert "no emulator has kept anything there" in refused(saved.save, path / "elsewhere", "one")


@pytest.mark.parametrize("action", ["restore", "reset", "import"])
def test_a_state_in_use_is_not_replaced(path, tmp_path, action):
    saved.save(path, "one")
    saved.export(path, tmp_path / "state.zip")
    user = DataFolder.open(path, 8123)
    try:
        what = {
            "restore": lambda: saved.restore(path, "one"),
            "reset": lambda: saved.reset(path),
            "import": lambda: saved.import_from(path, tmp_path / "state.zip"),
        }
        assert "on port 8123" in refused(what[action])
    finally:
        user.close()
    assert texts(path) == ["first"]


VERSION = "version.json"


def archive(file, members):
    with zipfile.ZipFile(file, "w") as writing:
        for name, content in members.items():
            writing.writestr(name, content)
    return file


@pytest.mark.parametrize(
    "members",
    [
        {},
        {VERSION: "{"},
        {VERSION: json.dumps({"format": FORMAT + 1})},
        {VERSION: json.dumps({"format": FORMAT}), "tables.db": "rubbish that is no database"},
    ],
)
def test_a_file_that_is_no_state_is_refused_and_nothing_changes(path, tmp_path, members):
    refused(saved.import_from, path, archive(tmp_path / "state.zip", members))
    assert texts(path) == ["first"]
    assert names(path) == set()


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 half a zip"])
def test_a_file_that_is_no_zip_is_refused(path, tmp_path, content):
    (tmp_path / "state.zip").write_bytes(content)
    assert "cannot be imported" in refused(saved.import_from, path, tmp_path / "state.zip")
    assert "There is no file" in refused(saved.import_from, path, tmp_path / "none.zip")
    assert texts(path) == ["first"]


def test_a_half_written_export_is_refused(path, tmp_path):
    saved.export(path, tmp_path / "state.zip")
    whole = (tmp_path / "state.zip").read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    assert "cannot be imported" in refused(saved.import_from, path, tmp_path / "half.zip")


def test_names_in_a_zip_lead_nowhere_else(path, tmp_path):
    evil = archive(tmp_path / "state.zip", {VERSION: json.dumps({"format": FORMAT}), "../evil": "evil"})
    saved.import_from(path, evil)
    assert not (path / "evil").exists()
    assert [each.name for each in (path / "current").iterdir()] == ["version.json"]


@pytest.mark.parametrize("action", ["save", "export", "restore"])
def test_a_disk_that_becomes_full_leaves_everything_as_it_was(path, tmp_path, monkeypatch, action):
    saved.save(path, "one")
    write(path, "second")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    what = {
        "save": lambda: saved.save(path, "two"),
        "export": lambda: saved.export(path, tmp_path / "state.zip"),
        "restore": lambda: saved.restore(path, "one"),
    }
    assert "No space left on device" in refused(what[action])
    assert texts(path) == ["first", "second"]
    assert names(path) == {"one"}
    assert {each.name for each in path.iterdir()} == {".gitignore", "current", "lock", "saved"}
    assert [each.name for each in tmp_path.iterdir()] == [".parley"]
