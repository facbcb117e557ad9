"""Changes of files: told by the system, and found by looking."""

import shutil
import sys

import pytest
from parley.emulator.reload.files import Watched
from parley.emulator.reload.inotify import Inotify
from parley.emulator.reload.scans import Scans

WATCHES = [pytest.param(Inotify, marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")), Scans]


@pytest.fixture(params=WATCHES)
def watch(request, monkeypatch):
    monkeypatch.setattr("parley.emulator.reload.scans._SHARE", 0)
    found = request.param()
    yield found
    found.close()


@pytest.fixture
def tree(tmp_path):
    tree = tmp_path / "tree"
    (tree / "part").mkdir(parents=True)
    (tree / "app.py").write_text("1")
    (tree / "part" / "inner.py").write_text("1")
    return tree


def test_what_is_written_or_replaced_or_removed_has_changed_at_once(watch, tree):
    watch.watch(Watched(trees=frozenset({tree})))
    assert watch.changed() == set()
    (tree / "app.py").write_text("22")
    (tree / "part" / "beside").write_text("333")
    (tree / "part" / "beside").replace(tree / "part" / "inner.py")
    assert watch.changed() == {tree / "app.py", tree / "part" / "inner.py"}
    assert watch.changed() == set()
    (tree / "app.py").unlink()
    assert watch.changed() == {tree / "app.py"}


def test_what_is_in_a_new_folder_counts_from_its_first_file_on(watch, tree):
    watch.watch(Watched(trees=frozenset({tree})))
    (tree / "new" / "deep").mkdir(parents=True)
    (tree / "new" / "deep" / "first.py").write_text("1")
    assert tree / "new" / "deep" / "first.py" in watch.changed()
    (tree / "new" / "deep" / "second.py").write_text("1")
    assert watch.changed() == {tree / "new" / "deep" / "second.py"}


@pytest.mark.parametrize(
    "name", ["app.log", "rows.db", "app.py~", ".app.py.swp", ".#app.py", "4913", "__pycache__/app.pyc", ".git/index.py"]
)
def test_what_functions_do_not_load_does_not_count(watch, tree, name):
    watch.watch(Watched(trees=frozenset({tree})))
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).write_text("1")
    assert watch.changed() == set()


def test_virtual_environments_beside_the_code_are_not_watched(watch, tree):
    (tree / "env" / "lib").mkdir(parents=True)
    (tree / "env" / "pyvenv.cfg").touch()
    watch.watch(Watched(trees=frozenset({tree})))
    (tree / "env" / "lib" / "library.py").touch()
    assert watch.changed() == set()


def test_a_single_file_counts_whatever_its_name_is_and_not_its_neighbours(watch, tmp_path):
    watch.watch(Watched(files=frozenset({tmp_path / ".env"})))
    (tmp_path / "other.py").write_text("1")
    assert watch.changed() == set()
    (tmp_path / ".env").write_text("A=1")
    assert watch.changed() == {tmp_path / ".env"}


def test_a_folder_by_itself_tells_of_its_modules_and_of_installations(watch, tree):
    watch.watch(Watched(folders=frozenset({tree})))
    (tree / "part" / "inner.py").write_text("22")
    assert watch.changed() == set()
    (tree / "app.py").write_text("22")
    (tree / "library-2.0.dist-info").mkdir()
    assert watch.changed() == {tree / "app.py", tree / "library-2.0.dist-info"}


def test_a_folder_that_is_removed_and_made_again_is_watched_again(watch, tree):
    watch.watch(Watched(trees=frozenset({tree})))
    aside = tree.with_name("aside")
    tree.rename(aside)
    watch.changed()
    tree.mkdir()
    (tree / "app.py").write_text("22")
    assert tree / "app.py" in watch.changed()
    (tree / "app.py").write_text("333")
    assert watch.changed() == {tree / "app.py"}


def test_it_is_watched_again_though_its_parent_is_watched_too(watch, tree):
    files = frozenset({tree.parent / "template.yaml"})
    watch.watch(Watched(files, frozenset({tree})))
    tree.rename(tree.with_name("aside"))
    (tree / "part").mkdir(parents=True)
    (tree / "part" / "inner.py").write_text("22")
    assert tree / "part" / "inner.py" in watch.changed()
    (tree / "part" / "inner.py").write_text("333")
    (tree.with_name("aside") / "part" / "inner.py").write_text("333")
    assert watch.changed() == {tree / "part" / "inner.py"}


def test_a_folder_that_moves_within_the_tree_is_watched_at_its_new_place(watch, tree):
    (tree / "part" / "deep").mkdir()
    watch.watch(Watched(trees=frozenset({tree})))
    (tree / "part").rename(tree / "other")
    assert tree / "other" / "inner.py" in watch.changed()
    (tree / "other" / "deep" / "new.py").write_text("1")
    assert watch.changed() == {tree / "other" / "deep" / "new.py"}


def test_a_large_folder_may_be_removed(watch, tree):
    for number in range(50):
        (tree / "many" / f"{number}" / "deep").mkdir(parents=True)
    watch.watch(Watched(trees=frozenset({tree})))
    shutil.rmtree(tree / "many")
    watch.changed()
    (tree / "many").mkdir()
    (tree / "many" / "app.py").write_text("1")
    assert watch.changed() == {tree / "many" / "app.py"}


def test_a_link_to_a_folder_is_followed_and_a_circle_of_links_has_an_end(watch, tree, tmp_path):
    (tmp_path / "linked").mkdir()
    (tree / "linked").symlink_to(tmp_path / "linked")
    (tree / "circle").symlink_to(tree)
    watch.watch(Watched(trees=frozenset({tree})))
    (tmp_path / "linked" / "app.py").write_text("1")
    assert watch.changed() == {tree / "linked" / "app.py"}


def test_a_folder_that_comes_later_is_watched_when_it_is_there(watch, tmp_path):
    watch.watch(Watched(trees=frozenset({tmp_path / "later"})))
    assert watch.changed() == set()
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "app.py").write_text("1")
    assert tmp_path / "later" / "app.py" in watch.changed()


def test_two_reasons_to_watch_a_folder_are_both_heard(watch, tree):
    watch.watch(Watched(files=frozenset({tree / ".env"}), trees=frozenset({tree})))
    (tree / ".env").write_text("A=1")
    (tree / "app.py").write_text("22")
    assert watch.changed() == {tree / ".env", tree / "app.py"}
