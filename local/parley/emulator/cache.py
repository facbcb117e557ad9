"""The user's cache: folders that can be made again, each removed when it was not used for a month."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

KEPT_SECONDS = 30 * 24 * 3600.0
"""The time after its last use for which a folder stays."""


class made:  # noqa: N801 - a context manager
    """A folder under way. At the end of the block it appears whole; after an error it does not.

    Old folders beside it are removed first.
    """

    def __init__(self, folder: Path) -> None:
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        _remove_old(folder.parent)
        self._folder = folder
        self._unfinished = Path(tempfile.mkdtemp(dir=folder.parent))

    def __enter__(self) -> Path:
        return self._unfinished

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            # Another emulator may have been faster: its folder has the same content.
            with suppress(OSError):
                self._unfinished.rename(self._folder)
        shutil.rmtree(self._unfinished, ignore_errors=True)


def is_there(folder: Path) -> bool:
    """Tell if a folder is in the cache. It counts as used now."""
    try:
        os.utime(folder)
    except OSError:
        return folder.is_dir()
    return True


def _remove_old(cache: Path) -> None:
    for folder in cache.iterdir():
        with suppress(OSError):
            if folder.stat().st_mtime < time.time() - KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
