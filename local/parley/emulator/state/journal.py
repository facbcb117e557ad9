"""The journal: what the emulator's services have acknowledged and not completed, in a file of SQLite.

A line is in the file's write-ahead log before the service answers, so it survives the end of the process, however that
comes. It does not wait for the disk: after a loss of power the last seconds may be missing, and the rest is whole
(https://www.sqlite.org/wal.html, "synchronous=NORMAL").
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS queues (name TEXT PRIMARY KEY, attributes TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, id TEXT NOT NULL, content TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_by_id ON messages (queue, id);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT UNIQUE NOT NULL, function TEXT NOT NULL,
    qualifier TEXT NOT NULL, payload BLOB NOT NULL, accepted REAL NOT NULL, attempts INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, name TEXT NOT NULL, content BLOB NOT NULL, fields TEXT NOT NULL, PRIMARY KEY (bucket, name)
);
CREATE TABLE IF NOT EXISTS connections (id TEXT PRIMARY KEY, handshake TEXT NOT NULL);
"""

Row = tuple[Any, ...]
Statement = tuple[str, Sequence[Any]]


class NotKept(OSError):
    """A line cannot be written. What it is about must not be acknowledged. The text is the reason and the next step."""


class Journal:
    """The file. Safe from any thread. Raises `NotKept` for a file that cannot be written."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = Lock()
        try:
            self._database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise self._not_kept(error) from None

    def write(self, *statements: Statement) -> None:
        """Carry out statements: all of them, or none. Raises `NotKept`."""
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                for statement, values in statements:
                    self._database.execute(statement, values)
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise self._not_kept(error) from None

    def read(self, query: str) -> Iterable[Row]:
        """Return the rows of a query."""
        with self._lock:
            return list(self._database.execute(query))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _not_kept(self, error: sqlite3.Error) -> NotKept:
        return NotKept(
            f"{self._file} cannot be written ({error}), so nothing more is accepted. Free some space on its disk, or "
            "start the emulator with another --data"
        )
