"""Saved states of a data folder: copies by name, the empty state, and a file for another machine.

A copy is taken while the emulator runs: each database is copied as it is at one moment, by SQLite itself. A state takes
the place of the current one only while no emulator runs.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from parley.emulator.state.folder import (
    CURRENT,
    DATABASES,
    PREVIOUS,
    SAVED,
    UNFINISHED,
    VERSION_FILE,
    DataFolder,
    check,
    fill_empty,
)
from parley.errors import StartError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MEMBERS = (VERSION_FILE, *DATABASES)
_MAX_MEMBER_BYTES = 4 << 30
_COPIED_BYTES = 1 << 20
_NOT_ITSELF = "It is not a state of parley's, or it is damaged."


@dataclass(frozen=True, slots=True)
class SavedState:
    """A saved state, with the time of its making and its size in bytes."""

    name: str
    made: datetime
    size: int


def save(path: Path, name: str, *, replaces: bool = False) -> None:
    """Save the current state under a name. Raises `StartError`."""
    if name == PREVIOUS:
        raise StartError(f"`{PREVIOUS}` is the state before the last restore, reset or import. Choose another name.")
    target = path / SAVED / _checked(name)
    if target.exists() and not replaces:
        raise StartError(f"There is a saved state {name} already. Choose another name, or replace it with --force.")
    _current(path)
    with _explained(f"The state cannot be saved in {path}"):
        (path / SAVED).mkdir(mode=0o700, exist_ok=True)
        unfinished = path / SAVED / f".{name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            _copy(path / CURRENT, unfinished)
            if target.exists():
                shutil.rmtree(target)
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def restore(path: Path, name: str) -> None:
    """Put a saved state in the place of the current one, which becomes `previous`. Raises `StartError`."""
    saved = path / SAVED / _checked(name)
    if not saved.is_dir():
        names = ", ".join(each.name for each in states(path)) or "none"
        raise StartError(f"There is no saved state {name} in {path}; there are: {names}.")
    check(saved, "Restore another one: `parley state list` names them.")
    with _changing(path) as folder:
        restored = folder.unfinished()
        _copy(saved, restored)
        folder.replace(restored)


def reset(path: Path) -> None:
    """Begin anew, with nothing. The current state, whole or not, becomes `previous`. Raises `StartError`."""
    with _changing(path) as folder:
        empty = folder.unfinished()
        fill_empty(empty)
        folder.replace(empty)


def states(path: Path) -> list[SavedState]:
    """Return the saved states, the newest first."""
    try:
        folders = [each for each in (path / SAVED).iterdir() if each.is_dir() and _NAME.fullmatch(each.name)]
    except OSError:
        return []
    found = [
        SavedState(
            each.name,
            datetime.fromtimestamp(each.stat().st_mtime).astimezone(),
            sum(file.stat().st_size for file in each.iterdir()),
        )
        for each in folders
    ]
    return sorted(found, key=lambda each: each.made, reverse=True)


def export(path: Path, file: Path, *, replaces: bool = False) -> None:
    """Write the current state into a zip file. Raises `StartError`."""
    if file.exists() and not replaces:
        raise StartError(f"{file} exists already. Choose another file, or replace it with --force.")
    _current(path)
    copied, unfinished = file.with_name(f".{file.name}.copied"), file.with_name(f".{file.name}.unfinished")
    with _explained(f"The state cannot be written to {file}"):
        try:
            shutil.rmtree(copied, ignore_errors=True)
            _copy(path / CURRENT, copied)
            with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
                for each in sorted(copied.iterdir()):
                    archive.write(each, each.name)
            unfinished.replace(file)
        finally:
            shutil.rmtree(copied, ignore_errors=True)
            unfinished.unlink(missing_ok=True)


def import_from(path: Path, file: Path) -> None:
    """Put the state of an exported file in the place of the current one, which becomes `previous`.

    Raises `StartError`.
    """
    if not file.is_file():
        raise StartError(f"There is no file {file}.")
    with _changing(path) as folder:
        unpacked = folder.unfinished()
        try:
            _unpack(file, unpacked)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
            raise StartError(f"{file} cannot be imported. {_NOT_ITSELF}") from None
        check(unpacked, f"{file} cannot be imported. {_NOT_ITSELF}")
        folder.replace(unpacked)


def _unpack(file: Path, folder: Path) -> None:
    """Unpack the files of a state, and nothing else: a name in the archive may be any path."""
    with zipfile.ZipFile(file) as archive:
        for each in archive.infolist():
            if each.filename in _MEMBERS and each.file_size <= _MAX_MEMBER_BYTES:
                with archive.open(each) as reading, (folder / each.filename).open("wb") as writing:
                    shutil.copyfileobj(reading, writing, _COPIED_BYTES)


def _copy(state: Path, target: Path) -> None:
    """Copy a state, which may be in use, into a folder that is new or empty."""
    target.mkdir(mode=0o700, exist_ok=True)
    shutil.copyfile(state / VERSION_FILE, target / VERSION_FILE)
    for name in DATABASES:
        if (state / name).exists():
            with closing(sqlite3.connect(state / name)) as source, closing(sqlite3.connect(target / name)) as copy:
                source.backup(copy)


def _current(path: Path) -> None:
    """Raise `StartError` if there is no current state."""
    if not (path / CURRENT).is_dir():
        raise StartError(
            f"There is no state in {path}: no emulator has kept anything there. Name its folder with --data."
        )


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise StartError(f"{name!r} is no name for a state. Take letters, digits, dots, hyphens and underscores.")
    return name


@contextmanager
def _changing(path: Path) -> Iterator[DataFolder]:
    """Give the folder, which no emulator uses meanwhile. Raises `StartError`."""
    folder = DataFolder.locked(path)
    try:
        with _explained(f"The state in {path} cannot be changed, and is as it was"):
            yield folder
    finally:
        with suppress(OSError):
            shutil.rmtree(path / UNFINISHED, ignore_errors=True)
        folder.close()


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn an error of the disk, or of a database, into a `StartError`."""
    try:
        yield
    except OSError as error:
        raise StartError(f"{what}: {error.strerror or error}. Mend that, and try again.") from None
    except sqlite3.Error as error:
        raise StartError(
            f"{what}: {error}. Free some space on the disk, or `parley state reset` if it is damaged."
        ) from None
