"""The reloader that the options ask for, with the watch that this system has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from parley.clock import Clock
from parley.emulator.application import Emulator
from parley.emulator.reload.files import Watch
from parley.emulator.reload.inotify import Inotify
from parley.emulator.reload.reloader import Read, Reloader
from parley.emulator.reload.scans import Scans
from parley.trace import Trace


def reloader_for(
    emulator: Emulator, read: Read, folder: Path, own: Mapping[Path, Collection[str]], trace: Trace
) -> Reloader | None:
    """Return the reloader of an emulator that was started in a folder; None if it has none.

    Functions that run inline have none: what the emulator's own process has imported stays.
    """
    options = emulator.options
    if not options.reloads or options.functions.mode == "inline":
        return None
    named = (options.template.path, folder / ".env")
    # A file may be a link, or lie in a linked folder; code is found by its real folder.
    files = {path for each in named for path in (each.absolute(), each.resolve(), each.parent.resolve() / each.name)}
    return Reloader(emulator, _watch(), read, files, _of_projects(own, options.template.path), trace, Clock())


def _of_projects(own: Mapping[Path, Collection[str]], template: Path) -> dict[Path, Collection[str]]:
    """Return those of the folders that the template lies in: they hold tests, documents and tools as well."""
    return {folder: names for folder, names in own.items() if folder in template.resolve().parents}


def _watch() -> Watch:
    try:
        return Inotify()
    except (OSError, AttributeError):  # another system, or no more queues
        return Scans()
