"""Changes of files found by looking at them, for systems and file systems that do not tell of changes."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from parley.emulator.reload.files import Watched, code_in, folders_in, is_installed

_MOST_FILES = 20_000
_SHARE = 20
"""A look is not repeated before so many times its own duration have passed, so it never takes much of the time."""

State = tuple[int, int, int]


class Scans:
    """A watch that compares what it sees now with what it saw last."""

    def __init__(self) -> None:
        self.limited = ""
        self._watched = Watched()
        self._seen: dict[Path, State] = {}
        self._not_before = 0.0

    def fileno(self) -> None:
        """Return None: somebody has to look from time to time."""

    def close(self) -> None:
        """Do nothing."""

    def watch(self, watched: Watched) -> None:
        """Watch these too."""
        now = self._watched
        self._watched = Watched(now.files | watched.files, now.trees | watched.trees, now.folders | watched.folders)
        self._seen = self._look() | self._seen

    def changed(self) -> set[Path]:
        """Return what has changed since the last look. After a look that took long there is none for a while."""
        began = time.monotonic()
        if began < self._not_before:
            return set()
        seen, self._seen = self._seen, self._look()
        self._not_before = began + (time.monotonic() - began) * _SHARE
        return {path for path, _ in seen.items() ^ self._seen.items()}

    def _look(self) -> dict[Path, State]:
        found: dict[Path, State] = {}
        folders = [folder for tree in self._watched.trees for folder in folders_in(tree)]
        for path in (*self._watched.files, *code_in([*folders, *self._watched.folders]), *self._installed()):
            if len(found) >= _MOST_FILES:
                self.limited = f"there are more than {_MOST_FILES:,} files; the others are not looked at"
                break
            with suppress(OSError):
                state = path.stat()
                found[path] = state.st_mtime_ns, state.st_size, state.st_ino
        return found

    def _installed(self) -> list[Path]:
        found = []
        for folder in self._watched.folders:
            with suppress(OSError):
                found += [path for path in folder.iterdir() if is_installed(path)]
        return found
