"""The data folder: whose it is, what it holds, and the one line for each reason that it cannot be used."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from parley.emulator.state import folder as module
from parley.emulator.state.folder import FORMAT, DataFolder
from parley.errors import StartError

HOLDER = """
import sys
from pathlib import Path
from parley.emulator.state.folder import DataFolder
folder = DataFolder.open(Path(sys.argv[1]), 4321)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "project" / ".parley"


def opened(path):
    folder = DataFolder.open(path)
    folder.close()
    return folder


def refused(path):
    """The one line about a folder that cannot be used."""
    with pytest.raises(StartError) as error:
        opened(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_it_is_made_whole_and_git_ignores_it(path):
    opened(path)
    assert (path / ".gitignore").read_text() == "*\n"
    assert json.loads((path / "current" / "version.json").read_text()) == {"format": FORMAT}
    assert path.stat().st_mode & 0o077 == 0


def test_git_does_not_see_it(path):
    subprocess.run(["git", "init", "--quiet", path.parent], check=True)
    opened(path)
    status = ["git", "-C", path.parent, "status", "--porcelain", "--untracked-files=all"]
    assert subprocess.run(status, check=True, capture_output=True, text=True).stdout == ""


def test_what_is_in_it_stays(path):
    folder = opened(path)
    (folder.current / "services.db").write_bytes(b"")
    opened(path)
    assert (folder.current / "services.db").exists()


def test_a_second_user_is_refused_and_told_who_has_it(path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "locked\n"
        said = refused(path)
        assert f"in use by process {holder.pid} on port 4321" in said
        assert "--data DIR" in said
        holder.kill()
        holder.wait()
    opened(path)


def test_after_a_kill_it_waits_for_the_child_that_still_holds_the_lock(path, monkeypatch):
    opened(path)
    (path / "lock").write_text(json.dumps({"pid": gone_pid(), "port": 1}))
    held = os.open(path / "lock", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            os.close(held)

    descriptor = module._lock(path / "lock", 2, sleep)
    assert len(waits) == 3
    assert json.loads((path / "lock").read_text()) == {"pid": os.getpid(), "port": 2}
    os.close(descriptor)


def test_it_does_not_wait_for_ever(path):
    opened(path)
    (path / "lock").write_text(json.dumps({"pid": gone_pid(), "port": 1}))
    held = os.open(path / "lock", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(StartError, match="in use by process"):
        module._lock(path / "lock", 2, lambda seconds: None)
    os.close(held)


def gone_pid():
    """The id of a process that has ended."""
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    return ended.pid


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"format": "new"}', '{"other": 1}'])
def test_a_half_written_version_is_told_with_the_next_step(path, content):
    folder = opened(path)
    (folder.current / "version.json").write_text(content)
    said = refused(path)
    assert "version.json is missing or damaged" in said
    assert "parley state reset" in said


def test_a_newer_one_is_refused_and_left_as_it_is(path):
    folder = opened(path)
    (folder.current / "version.json").write_text(json.dumps({"format": FORMAT + 1}))
    (folder.current / "tables.db").write_bytes(b"a newer format")
    said = refused(path)
    assert f"A newer parley has written {folder.current} (format {FORMAT + 1}; this one reads up to {FORMAT})" in said
    assert "--no-data" in said
    assert (folder.current / "tables.db").read_bytes() == b"a newer format"


@pytest.mark.parametrize("name", ["tables.db", "services.db"])
@pytest.mark.parametrize("content", [b"no database at all, but a text", b"SQLite format 3\0" + b"\xff" * 5_000])
def test_a_damaged_database_is_told_with_the_next_step(path, name, content):
    folder = opened(path)
    (folder.current / name).write_bytes(content)
    said = refused(path)
    assert f"{name} is damaged" in said
    assert "parley state reset" in said


def test_a_database_that_nothing_was_written_to_is_whole(path):
    folder = opened(path)
    (folder.current / "tables.db").write_bytes(b"")
    opened(path)


def test_a_folder_that_is_used_for_something_else_is_left_alone(path):
    path.mkdir(parents=True)
    (path / "app.py").write_text("")
    said = refused(path)
    assert "is no data folder: it holds app.py" in said
    assert [each.name for each in path.iterdir()] == ["app.py"]


def test_a_file_in_its_place_is_told(path):
    path.parent.mkdir()
    path.write_text("")
    assert "Nothing can be kept in" in refused(path)


def test_a_place_that_cannot_be_written_is_told_with_the_next_step(tmp_path):
    said = refused(tmp_path / "file" / ".parley") if (tmp_path / "file").write_text("") == 0 else ""
    assert "Nothing can be kept in" in said
    assert "--no-data" in said


@pytest.mark.parametrize("place", ["current", "current/tables.db"])
def test_what_is_read_only_is_told(path, monkeypatch, place):
    folder = opened(path)
    (folder.current / "tables.db").write_bytes(b"")
    # The superuser may write everywhere, and may run these tests.
    monkeypatch.setattr(os, "access", lambda file, mode: file != path / place)
    said = refused(path)
    assert f"{path / place} is read-only" in said
    assert "--data DIR" in said


def test_a_full_disk_is_told_before_the_first_message(path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=5 << 20))
    said = refused(path)
    assert f"The disk of {path} is full: 5 MB are free" in said
    assert "--no-data" in said


@pytest.mark.parametrize("has_current", [True, False])
def test_a_change_that_was_broken_off_is_completed_or_undone(path, has_current):
    folder = opened(path)
    (folder.current / "mark").write_text("old")
    shutil.copytree(folder.current, path / "next")
    (path / "next" / "mark").write_text("new")
    if not has_current:
        (path / "saved").mkdir()
        folder.current.rename(path / "saved" / "previous")
    opened(path)
    assert (folder.current / "mark").read_text() == ("old" if has_current else "new")
    assert not (path / "next").exists()


def test_what_was_not_finished_is_removed(path):
    opened(path)
    (path / "unfinished").mkdir()
    opened(path)
    assert not (path / "unfinished").exists()
