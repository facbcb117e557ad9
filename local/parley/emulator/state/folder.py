"""The data folder: what the emulator keeps from one run to the next, and who may use it.

`current` is the state in use, `saved` has a folder for each saved state, and `lock` belongs to the emulator that runs.
Another state takes the place of the current one by two renames. A command that dies between them is completed by
the next one, so the folder always has one whole state. `.gitignore` keeps all of it out of Git.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from parley.errors import StartError

FORMAT = 1
"""The version of the folder's format. A change that an older parley cannot read makes it higher."""

CURRENT, SAVED, NEXT, UNFINISHED = "current", "saved", "next", "unfinished"
PREVIOUS = "previous"
"""The saved state that was the current one before the last `restore`, `reset` or `import`."""

VERSION_FILE, TABLES_FILE, SERVICES_FILE = "version.json", "tables.db", "services.db"
DATABASES = (TABLES_FILE, SERVICES_FILE)
_LOCK_FILE, _IGNORE_FILE = "lock", ".gitignore"
_OURS = frozenset((CURRENT, SAVED, NEXT, _LOCK_FILE, _IGNORE_FILE, UNFINISHED))

MIN_FREE_BYTES = 16 << 20
"""The free space that a start needs. With less the first messages would already be refused."""

_MOST_CHECKED_BYTES = 64 << 20
"""The size up to which a database is read at the start, to find damage. It takes about 1 ms for each MB."""

_HANDOVER_SECONDS = 10.0
_HANDOVER_STEP_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A data folder that nobody else uses while `lock`, a descriptor, is open in any process."""

    path: Path
    lock: int

    @property
    def current(self) -> Path:
        """The folder with the state in use."""
        return self.path / CURRENT

    @classmethod
    def open(cls, path: Path, port: int = 0) -> Self:
        """Make the folder if there is none, lock it, and check the state in it. Raises `StartError`.

        `port` is the emulator's, for the message to others who want the folder.
        """
        folder = cls.locked(path, port)
        try:
            folder._prepare()
        except BaseException:
            folder.close()
            raise
        return folder

    @classmethod
    def locked(cls, path: Path, port: int = 0) -> Self:
        """Make the folder if there is none, and lock it, whatever its state is like. Raises `StartError`."""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_foreign(path)
            if not (path / _IGNORE_FILE).exists():
                (path / _IGNORE_FILE).write_text("*\n")
            folder = cls(path, _lock(path / _LOCK_FILE, port))
        except OSError as error:
            raise not_writable(path, error) from None
        folder._complete()
        return folder

    def close(self) -> None:
        """Let others have the folder, once no child process holds the lock either."""
        os.close(self.lock)

    def _complete(self) -> None:
        """Complete a change of the state that was broken off, and remove what it had not completed."""
        with suppress(OSError):
            shutil.rmtree(self.path / UNFINISHED, ignore_errors=True)
            if (self.path / NEXT).exists() and not self.current.exists():
                (self.path / NEXT).rename(self.current)
            shutil.rmtree(self.path / NEXT, ignore_errors=True)

    def _prepare(self) -> None:
        try:
            if not self.current.exists():
                fill_empty(self.unfinished())
                (self.path / UNFINISHED).rename(self.current)
            free = shutil.disk_usage(self.current).free
        except OSError as error:
            raise not_writable(self.path, error) from None
        check(self.current, "Save it elsewhere and run `parley state reset`, or `parley state restore NAME`.")
        for each in (self.current, *(self.current / name for name in DATABASES if (self.current / name).exists())):
            if not os.access(each, os.W_OK):
                raise StartError(f"{each} is read-only. Make it writable, or {_ELSEWHERE}.")
        if free < MIN_FREE_BYTES:
            raise StartError(
                f"The disk of {self.path} is full: {free >> 20} MB are free, {MIN_FREE_BYTES >> 20} MB are needed. "
                f"Free some space, or {_ELSEWHERE}."
            )

    def unfinished(self) -> Path:
        """Return a new folder for a state that is not whole yet. Raises `OSError`."""
        folder = self.path / UNFINISHED
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        return folder

    def replace(self, state: Path) -> None:
        """Put a whole state, in a folder of `unfinished`, in the place of the current one. Raises `OSError`.

        The current one becomes the saved state `previous`.
        """
        state.rename(self.path / NEXT)
        if self.current.exists():
            (self.path / SAVED).mkdir(mode=0o700, exist_ok=True)
            previous = self.path / SAVED / PREVIOUS
            if previous.exists():
                # A rename takes only the place of an empty folder.
                shutil.rmtree(previous)
            self.current.rename(previous)
        (self.path / NEXT).rename(self.current)


_ELSEWHERE = "choose another folder with --data DIR (`parley up --no-data` keeps nothing)"


def fill_empty(folder: Path) -> None:
    """Make a state without any data of an empty folder. Raises `OSError`."""
    (folder / VERSION_FILE).write_text(json.dumps({"format": FORMAT}) + "\n")


def check(state: Path, remedy: str) -> None:
    """Raise `StartError` if a state is damaged, or if another version has written it. `remedy` is the next step."""
    try:
        version = json.loads((state / VERSION_FILE).read_text())["format"]
        is_newer = version > FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        raise StartError(f"{state / VERSION_FILE} is missing or damaged. {remedy}") from None
    if is_newer:
        raise StartError(
            f"A newer parley has written {state} (format {version}; this one reads up to {FORMAT}). "
            f"Update parley, or {_ELSEWHERE}."
        )
    for name in DATABASES:
        if (state / name).exists():
            _check_database(state / name, remedy)


def _check_database(file: Path, remedy: str) -> None:
    try:
        with file.open("rb") as reading:
            head = reading.read(16)
        # The process that made it may have been killed before it wrote anything.
        if head in (b"", b"SQLite format 3\0"):
            with closing(sqlite3.connect(file)) as database:
                thorough = file.stat().st_size <= _MOST_CHECKED_BYTES
                found = database.execute("PRAGMA quick_check(1)" if thorough else "PRAGMA schema_version").fetchone()
            if not thorough or found == ("ok",):
                return
    except sqlite3.Error as error:
        # A full disk or a lock is no damage.
        if isinstance(error, sqlite3.OperationalError):
            reason = f"{file} cannot be opened: {error}"
            raise StartError(f"{reason}. Free some space on its disk, or {_ELSEWHERE}.") from None
    except OSError as error:
        raise not_writable(file, error) from None
    raise StartError(f"{file} is damaged. {remedy}")


def not_writable(path: Path, error: OSError) -> StartError:
    """Return the error for a path at which nothing can be kept."""
    return StartError(f"Nothing can be kept in {path}: {error.strerror or error}. Mend that, or {_ELSEWHERE}.")


def _refuse_foreign(path: Path) -> None:
    """Raise `StartError` for a folder that is used for something else: `reset` would replace what is in it."""
    others = sorted(each.name for each in path.iterdir() if each.name not in _OURS)
    if others:
        raise StartError(
            f"{path} is no data folder: it holds {', '.join(others[:3])}{' …' if len(others) > 3 else ''}. "
            "Name a new or an empty folder with --data DIR."
        )


def _lock(file: Path, port: int, sleep: Callable[[float], None] = time.sleep) -> int:
    """Return a descriptor that holds the lock, with this process named in the file. Raises `StartError`, `OSError`.

    After an emulator was killed its database still runs for a moment, and holds the lock until it has ended too.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for _ in range(round(_HANDOVER_SECONDS / _HANDOVER_STEP_SECONDS)):
            if _try_lock(descriptor):
                os.truncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "port": port}).encode(), 0)
                return descriptor
            if _is_alive(_holder(descriptor)):
                break
            sleep(_HANDOVER_STEP_SECONDS)
        raise _in_use(file.parent, *_holder(descriptor))
    except BaseException:
        os.close(descriptor)
        raise


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> tuple[int, int]:
    """Return the process and the port that a lock file names; zeros if it names none."""
    try:
        content = json.loads(os.pread(descriptor, 200, 0))
        return int(content["pid"]), int(content["port"])
    except (ValueError, KeyError, TypeError):
        return 0, 0


def _is_alive(holder: tuple[int, int]) -> bool:
    if not holder[0]:
        return False
    try:
        os.kill(holder[0], 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _in_use(path: Path, pid: int, port: int) -> StartError:
    at = f" on port {port}" if port else ""
    by = f"process {pid}{at}" if pid else "another process"
    return StartError(
        f"{path} is in use by {by}. End that, or name another folder with --data DIR (`parley up --no-data` keeps "
        "nothing)."
    )
