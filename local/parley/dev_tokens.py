"""Tokens for a developer's users, as the chat's authentication expects them, and the secret that signs them."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

LIFETIME = timedelta(hours=12)

_SECRET_FILE = "secret"  # noqa: S105 - its name
_MIN_SECRET_BYTES = 32
"""The shortest secret that the chat's authentication takes."""


def secret(environ: Mapping[str, str]) -> str:
    """Return the key that signs tokens: `JWT_SECRET` if it is set, else this user's development secret.

    The development secret is made at random at its first use. The emulator and the commands all find the same one.
    """
    return environ.get("JWT_SECRET") or _development_secret(user_folder(environ) / _SECRET_FILE)


def token(user_id: str, secret: str, lifetime: timedelta = LIFETIME) -> str:
    """Return an HS256 token for this user, valid from now on for `lifetime`."""
    # Not at the top: PyJWT takes longer to import than most of the emulator.
    import jwt

    now = datetime.now(UTC)
    return jwt.encode({"userId": user_id, "iat": now, "exp": now + lifetime}, secret, algorithm="HS256")


def user_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder for what is kept for a user: in the user's cache, else in the temporary folder.

    In the temporary folder the name is known to others. So a folder there counts only if it is the user's alone;
    otherwise a new one is made, which no other process finds.
    """
    cache = environ.get("XDG_CACHE_HOME") or (Path(environ["HOME"]) / ".cache" if environ.get("HOME") else None)
    if cache:
        folder = Path(cache) / "parley"
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    folder = Path(tempfile.gettempdir()) / f"parley-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    return folder if _is_private(folder, stat.S_ISDIR) else _new_folder()


@cache
def _new_folder() -> Path:
    """Return a folder of this process's own, the same one each time."""
    return Path(tempfile.mkdtemp(prefix="parley-"))


def _development_secret(file: Path) -> str:
    with _locked(file.parent):
        kept = _kept_secret(file)
        if kept is None:
            kept = secrets.token_urlsafe(_MIN_SECRET_BYTES)
            # A new file that takes the place of the old one: `mkstemp` makes it for this user alone.
            descriptor, name = tempfile.mkstemp(dir=file.parent)
            with os.fdopen(descriptor, "w") as writing:
                writing.write(kept)
            Path(name).replace(file)
        return kept


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes out: two that start at once must agree on one secret."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _kept_secret(file: Path) -> str | None:
    """Return the secret in a file; None if there is none, or if others may have read or written it."""
    if not _is_private(file, stat.S_ISREG):
        return None
    found = file.read_text(errors="replace").strip()
    return found if len(found.encode()) >= _MIN_SECRET_BYTES else None


def _is_private(path: Path, is_kind: Callable[[int], bool]) -> bool:
    """Return whether a file or a folder is there, and is this user's alone. A link is not."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return is_kind(found.st_mode) and found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077
