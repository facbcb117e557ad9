"""Files whose changes count, and the two ways to learn of changes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_SUFFIXES = {
    *(".py", ".so", ".js", ".cjs", ".mjs", ".ts", ".jsx", ".tsx", ".node", ".wasm", ".rb", ".jar", ".class", ".dll"),
    *(".json", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".sql", ".graphql", ".pem", ".crt"),
    *(".html", ".htm", ".jinja", ".jinja2", ".j2", ".tmpl"),
}
"""Kinds of files that functions load. A log or a database beside the code changes with each event, and is none."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The files and folders to watch: single files, folders with all that is in them, and folders by themselves.

    In folders by themselves count the files that are loaded, and what an installer writes there.
    """

    files: frozenset[Path] = frozenset()
    trees: frozenset[Path] = frozenset()
    folders: frozenset[Path] = frozenset()


class Watch(Protocol):
    """A way to learn which files have changed."""

    limited: str
    """Why some changes are not seen; empty if all are."""

    def watch(self, watched: Watched) -> None:
        """Watch these too."""

    def changed(self) -> set[Path]:
        """Return the files and folders that have changed since the last call. Do not wait."""

    def fileno(self) -> int | None:
        """Return a descriptor that is readable when something has changed; None if there is none."""

    def close(self) -> None:
        """End."""


def is_code(path: Path) -> bool:
    """Tell if a file of this name may be loaded by a function. What editors write beside a file is none."""
    name = path.name
    return not name.startswith(".") and (path.suffix.lower() in _SUFFIXES or name == "bootstrap")


def is_installed(path: Path) -> bool:
    """Tell if an installer writes a folder or a file of this name when it installs or removes a package."""
    return path.suffix in (".dist-info", ".egg-info", ".pth", ".egg-link")


def folders_in(tree: Path) -> Iterator[Path]:
    """Yield a folder and the folders in it, links to folders too, but each one once.

    Not those of tools (`.git`, `.venv`), of compiled code, and of virtual environments: nothing there is a function's.
    """
    waiting, seen = [tree], set()
    while waiting:
        folder = waiting.pop()
        entries: list[os.DirEntry[str]] = []
        with suppress(OSError):
            # Told apart by number: there may be thousands, and to find a real path takes ten times as long.
            status = folder.stat()
            if (place := (status.st_dev, status.st_ino)) in seen:
                continue
            seen.add(place)
            with os.scandir(folder) as found:
                entries = list(found)
        if folder != tree and any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        yield folder
        waiting += [Path(entry.path) for entry in entries if is_visible(entry.name) and _is_folder(entry)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_visible(name: str) -> bool:
    """Tell if a folder of this name may hold code."""
    return not name.startswith(".") and name != "__pycache__"


def code_in(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the files in these folders themselves that count."""
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as entries:
            yield from (path for entry in entries if entry.is_file() and is_code(path := Path(entry.path)))
