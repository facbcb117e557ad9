"""The user's cache: what is whole, what is used, and what is removed."""

import os
import time
from pathlib import Path

import pytest
from parley.emulator import node_sdk, packages
from parley.emulator.cache import KEPT_SECONDS, is_there, made


def make(folder: Path) -> None:
    with made(folder) as unfinished:
        (unfinished / "file").write_text("content")


def grow_old(folder: Path) -> None:
    then = time.time() - KEPT_SECONDS - 60
    os.utime(folder, (then, then))


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "cache" / "one"
    with pytest.raises(ZeroDivisionError), made(folder):
        1 / 0  # noqa: B018
    assert not is_there(folder)
    assert list(folder.parent.iterdir()) == []
    make(folder)
    assert is_there(folder)
    assert [each.name for each in folder.parent.iterdir()] == ["one"]


def test_one_that_was_not_used_for_a_month_is_removed_when_the_next_is_made(tmp_path):
    used, unused = tmp_path / "used", tmp_path / "unused"
    for folder in (used, unused):
        make(folder)
    for folder in (used, unused):
        grow_old(folder)
    assert is_there(used)
    make(tmp_path / "new")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["new", "used"]


def test_what_is_installed_for_functions_is_used_by_each_start(tmp_path, monkeypatch):
    """So it stays as long as somebody works with it, and not a day longer than a month after."""

    def install(what, python, into, environ, folder=None):
        (into / "installed").touch()

    monkeypatch.setattr(packages, "_install", install)
    monkeypatch.setattr(node_sdk, "run", lambda command, folder, environ: (folder / "node_modules").mkdir())
    environ = {"XDG_CACHE_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    lists = [tmp_path / name / "requirements.txt" for name in ("one", "two")]
    for file in lists:
        file.parent.mkdir()
        file.write_text("anything")
    first, _ = (packages.installed(file, "/bin/python", environ) for file in lists)
    node_sdk.install(["@aws-sdk/client-s3"], "/bin/node", environ)
    kept = first.parent
    for folder in kept.iterdir():
        grow_old(folder)
    assert packages.installed(lists[0], "/bin/python", environ) == first
    node_sdk.install(["aws-sdk"], "/bin/node", environ)
    assert set(kept.iterdir()) == {first, node_sdk.folder(["aws-sdk"], environ)}
