"""Changes of files as Linux tells them: inotify(7).

The kernel puts a change into the queue before the program that has made it goes on. So who reads the queue when an
event arrives for a function knows of everything that was saved before.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from parley.emulator.reload.files import Watched, code_in, folders_in, is_code, is_installed, is_visible

# linux/inotify.h
_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _OVERFLOW, _IGNORED, _IS_FOLDER = 0x400, 0x800, 0x4000, 0x8000, 0x4000_0000
_ONLY_FOLDERS = 0x100_0000
_MASK = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLY_FOLDERS
_HEAD = struct.Struct("iIII")
_READ_BYTES = 256 * 1024


class Inotify:
    """A watch by inotify. Raises `OSError` if the system has none to give."""

    def __init__(self) -> None:
        self.limited = ""
        self._system = ctypes.CDLL(None, use_errno=True)
        # Its flags have the numbers of those of files.
        self._queue = self._checked(self._system.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._folders: dict[int, set[Path]] = {}
        self._numbers: dict[Path, int] = {}
        self._deep: set[Path] = set()
        self._flat: set[Path] = set()
        self._files: set[Path] = set()
        self._roots: dict[Path, bool] = {}
        self._missing: set[Path] = set()

    def _checked(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    def fileno(self) -> int:
        """Return the descriptor of the queue."""
        return self._queue

    def close(self) -> None:
        """Close the queue."""
        os.close(self._queue)

    def watch(self, watched: Watched) -> None:
        """Watch these too."""
        self._files |= watched.files
        self._flat |= watched.folders
        folders = watched.folders | {file.parent for file in watched.files}
        for root in sorted(watched.trees | folders):
            is_tree = root in watched.trees or self._roots.get(root, False)
            if self._roots.get(root) is not is_tree:
                self._roots[root] = is_tree
                self._begin(root)

    def _begin(self, root: Path) -> list[Path]:
        """Watch a root. Return the folders that are watched now; note a root that is not there."""
        folders = list(folders_in(root)) if self._roots[root] else [root]
        if self._roots[root]:
            self._deep.update(folders)
        added = [folder for folder in folders if self._add(folder)]
        if added:
            self._missing.discard(root)
        else:
            self._missing.add(root)
        return added

    def _add(self, folder: Path) -> bool:
        try:
            number = self._checked(self._system.inotify_add_watch(self._queue, os.fsencode(folder), _MASK))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.ENOMEM):
                self.limited = "the system watches no more folders; raise fs.inotify.max_user_watches"
            return False
        self._folders.setdefault(number, set()).add(folder)
        self._numbers[folder] = number
        return True

    def changed(self) -> set[Path]:
        """Return what has changed since the last call."""
        found: set[Path] = set()
        for number, mask, name in self._events():
            if mask & _OVERFLOW:
                found |= self._files | self._roots.keys()
            for folder in list(self._folders.get(number, ())):
                found |= self._told(folder, mask, name)
        for root in [root for root in self._missing if root.is_dir()]:
            found |= {root, *self._files_of(self._begin(root))}
        return found

    def _events(self) -> Iterator[tuple[int, int, str]]:
        with suppress(BlockingIOError):
            while data := os.read(self._queue, _READ_BYTES):
                place = 0
                while place < len(data):
                    number, mask, _, length = _HEAD.unpack_from(data, place)
                    place += _HEAD.size + length
                    yield number, mask, os.fsdecode(data[place - length : place].rstrip(b"\0"))

    def _told(self, folder: Path, mask: int, name: str) -> set[Path]:
        """Return what an event says of one path of a folder."""
        if mask & (_DELETE_SELF | _MOVE_SELF | _IGNORED):
            self._forget(folder, below=bool(mask & _MOVE_SELF))
            return set()
        path = folder / name
        if mask & _IS_FOLDER:
            return self._told_of_folder(path, mask)
        if mask & _CREATE and not _is_whole(path):
            return set()  # it is written now, and the end of that is an event of its own
        is_watched = folder in self._deep or folder in self._flat
        return {path} if path in self._files or (is_watched and _counts(path)) else set()

    def _told_of_folder(self, path: Path, mask: int) -> set[Path]:
        if mask & (_MOVED_FROM | _DELETE):
            return {path} if self._forget(path, below=bool(mask & _MOVED_FROM)) or is_installed(path) else set()
        if path.parent not in self._deep or not is_visible(path.name):
            return {path} if is_installed(path) else set()
        new = list(folders_in(path))
        self._deep.update(new)
        # Files may have come into it before it was watched.
        return self._files_of([folder for folder in new if self._add(folder)])

    def _files_of(self, folders: list[Path]) -> set[Path]:
        return {*code_in(folders), *(file for file in self._files if file.parent in folders)}

    def _forget(self, path: Path, *, below: bool) -> bool:
        """Forget a folder that is gone from its place, and if it was moved those in it. Return whether there were any.

        A root is watched again once it is back.
        """
        if not below and path not in self._numbers:
            return False
        gone = [each for each in self._numbers if _is_at(path, each)] if below else [path]
        for folder in gone:
            number = self._numbers.pop(folder)
            self._folders[number].discard(folder)
            self._deep.discard(folder)
            if folder in self._roots:
                self._missing.add(folder)
            if not self._folders[number]:
                del self._folders[number]
                self._system.inotify_rm_watch(self._queue, number)  # it may have ended by itself
        return bool(gone)


def _is_at(path: Path, folder: Path) -> bool:
    return folder == path or path in folder.parents


def _counts(path: Path) -> bool:
    return is_code(path) or is_installed(path)


def _is_whole(path: Path) -> bool:
    """Tell if a new file is a link: nobody writes it any more."""
    with suppress(OSError):
        return path.is_symlink() or path.stat().st_nlink > 1
    return False
