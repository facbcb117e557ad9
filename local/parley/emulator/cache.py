"""The user's folder for what the emulator makes or fetches once: its certificate, its database engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


def cache_folder(environ: Mapping[str, str]) -> Path | None:
    """Return `~/.cache/parley`, or its like under XDG_CACHE_HOME. None if no such folder can be written."""
    cache = environ.get("XDG_CACHE_HOME") or (Path(environ["HOME"]) / ".cache" if environ.get("HOME") else None)
    if not cache:
        return None
    folder = Path(cache) / "parley"
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder if os.access(folder, os.W_OK) else None
