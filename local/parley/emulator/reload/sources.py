"""The functions' own Python files: whether they can be read by Python, and what they were when they could.

While a file has a syntax error the code before it goes on: in the environments that have loaded it, and for further
ones in a folder that has the files as they were.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from parley.emulator.code import merged
from parley.emulator.reload.files import code_in, folders_in
from parley.functions.processes.preload import imported_by
from parley.template.functions import temporary_folder

_MOST_BYTES = 50 * 1024 * 1024
"""The size of all files that are kept, at most. Of one that is not kept there is no earlier content."""

_MOST_CHECKED = 300
"""The number of files that are checked at most. More change at once when a build or an installer writes them."""

_NEVER_LOADED = {"tests", "test", "docs", "doc", "examples", "scripts", "coverage", "htmlcov", "dist", "build", "cdk"}
"""First names of folders of a project whose files functions do not load, unless they import them."""


class Sources:
    """The Python files of folders of code.

    A folder may be a whole project, with more in it than the functions' code. `own` then are the modules and packages
    in it that the functions import, by their first names. Other files are not kept, and need not be readable. Nor need
    those of `unchecked` folders: another Python runs them, with a syntax of its own.
    """

    def __init__(self, folders: Iterable[Path], own: Mapping[Path, Collection[str]]) -> None:
        self.unchecked: frozenset[Path] = frozenset()
        self._own = own
        self._good: dict[Path, bytes] = {}
        self._pending: dict[Path, set[Path]] = {}
        self._stand_ins: dict[Path, Path] = {}
        self._taken: list[tuple[bytes, bytes]] = []
        self._size = 0
        for folder in set(folders):
            self.add(folder)

    def add(self, folder: Path) -> None:
        """Keep the files of a folder as they are now, if they are not kept yet."""
        if folder not in self._pending:
            self._pending[folder] = set()
            trees = [folder / name for name in self._own[folder]] if folder in self._own else [folder]
            files = [tree.with_suffix(".py") for tree in trees if not tree.is_dir()]
            for path in (*files, *code_in(each for tree in trees if tree.is_dir() for each in folders_in(tree))):
                if path.suffix == ".py":
                    self._keep(path)

    def has(self, folder: Path, path: Path) -> bool:
        """Tell if a file in a folder is the functions' code, as far as that is known."""
        return folder not in self._own or path == folder or _top(folder, path) in self._own[folder]

    def _keep(self, path: Path) -> None:
        self._size -= len(self._good.pop(path, b""))
        with suppress(OSError):
            content = path.read_bytes()
            if self._size + len(content) <= _MOST_BYTES:
                self._good[path] = content
                self._size += len(content)

    def may_load(self, folder: Path, path: Path) -> bool:
        """Tell if the functions may load a file in a folder: all but a project's tests, documents and what is built."""
        return self.has(folder, path) or _top(folder, path) not in _NEVER_LOADED

    def take(self, folder: Path, changed: Iterable[Path]) -> list[str]:
        """Take the changes in a folder if Python can read all its files. Return the errors, a line for each file."""
        pending = self._pending.setdefault(folder, set())
        pending |= {path for path in changed if path.suffix == ".py" and self.has(folder, path)}
        for path in pending:
            forget_compiled(path)
        # A stand-in has the files that were pending. Its folder stays until the end: environments that were started of
        # it may still import of it.
        self._stand_ins.pop(folder, None)
        if not folder.is_dir():
            return ["it is gone"]
        is_checked = len(pending) <= _MOST_CHECKED and folder not in self.unchecked
        checked = sorted(pending) if is_checked else ()
        if errors := [error for path in checked if (error := syntax_error(path))]:
            return errors
        for path in pending:
            before = self._good.get(path, b"")
            self._keep(path)
            self._taken.append((before, self._good.get(path, b"")))
        pending.clear()
        return []

    def imports_more(self) -> bool:
        """Tell if a file that was taken since the last call imports what it did not import before."""
        taken, self._taken = self._taken[:_MOST_CHECKED], []
        return any(imported_by(after) - imported_by(before) for before, after in taken)

    def current(self, folder: Path) -> Path:
        """Return the folder to load the code from: this one, or one with the files as they last could be read."""
        if folder.is_dir() and not self._pending.get(folder):
            return folder
        if folder not in self._stand_ins:
            self._stand_ins[folder] = self._stand_in(folder)
        return self._stand_ins[folder]

    def _stand_in(self, folder: Path) -> Path:
        kept = Path(tempfile.mkdtemp(prefix="before-", dir=temporary_folder()))
        for path in self._pending[folder] if folder.is_dir() else list(self._good):
            if folder in path.parents and (content := self._good.get(path)) is not None:
                before = kept / path.relative_to(folder)
                before.parent.mkdir(parents=True, exist_ok=True)
                before.write_bytes(content)
                os.utime(before, (0, 0))  # its bytecode is not taken for that of the file
        return merged((folder, kept)) if folder.is_dir() else kept


def _top(folder: Path, path: Path) -> str:
    return path.relative_to(folder).parts[0].partition(".")[0]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def syntax_error(path: Path) -> str:
    """Return what Python says of a file that it cannot read, with the place; empty if there is nothing to say."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(_content(path), str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"{path.name}, line {error.lineno or 1}: {error.msg}"
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:  # a null byte, too many brackets
        return f"{path.name}: {error}"
    return ""


def forget_compiled(path: Path) -> None:
    """Remove the bytecode of a file.

    Python takes it for the file's if the file's size and the second of its last change are the same: two saves within a
    second could leave the first one's.
    """
    with suppress(OSError):
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink(missing_ok=True)
