"""Packages that functions in Python find on AWS, as folders: those of the runtime, and those of a function's list.

The emulator's own packages are no function's: on AWS there is only what its code, its layers and Lambda's runtime have.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from parley.dev_tokens import user_folder
from parley.emulator.cache import is_there, made

_OF_THE_RUNTIME = (
    *("awslambdaric", "runtime_client", "snapshot_restore_py", "simplejson"),
    *("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3"),
)
"""The modules that AWS's images of Python bring: the runtime's client and the SDK, with what they need."""

_SDK = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six", "urllib3")
REQUIREMENTS = "requirements.txt"
_INSTALL_SECONDS = 600
_PIP = ("--disable-pip-version-check", "--no-input", "--retries=1", "--timeout=15")
"""Options of pip: without a network it gives up after seconds, not after minutes."""


class NotInstallable(Exception):
    """The packages of a list cannot be installed; the text says why."""


def of_the_runtime(environ: Mapping[str, str]) -> Path:
    """Return a folder with the modules of Lambda's runtime, and nothing else. They are the emulator's own copies."""
    places = {place.name: place for name in _OF_THE_RUNTIME if (place := _place(name))}
    named = "\n".join(map(str, places.values()))
    folder = user_folder(environ) / "runtimes" / hashlib.sha256(named.encode()).hexdigest()[:16]
    if not is_there(folder):
        with made(folder) as unfinished:
            for name, place in places.items():
                (unfinished / name).symlink_to(place)
    return folder


def _place(module: str) -> Path | None:
    """Return the file or the folder of a module that is installed beside the emulator."""
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent if found.submodule_search_locations else Path(found.origin)


def oldest_python() -> tuple[int, int]:
    """Return the oldest Python that the emulator's own copy of the SDK runs in."""
    oldest = [(3, 0)]
    for name in _SDK:
        match = re.search(r">=\s*3\.(\d+)", importlib.metadata.metadata(name)["Requires-Python"] or "")
        oldest += [(3, int(match[1]))] if match else []
    return max(oldest)


def sdk(python: str, version: tuple[int, int], environ: Mapping[str, str]) -> Path:
    """Return a folder with the SDK for an older Python. It is installed now if it is not there.

    Raises `NotInstallable`.
    """
    folder = user_folder(environ) / "runtimes" / f"python{version[0]}.{version[1]}"
    if not is_there(folder):
        with made(folder) as unfinished:
            _install(["boto3"], python, unfinished, environ)
    return folder


def listed(code: Path) -> Path | None:
    """Return the list of packages in a function's code; None if the code has the packages already."""
    file = code / REQUIREMENTS
    is_built = next(code.glob("*.dist-info"), None) is not None
    return file if file.is_file() and not is_built and _names_any(file) else None


def _names_any(file: Path) -> bool:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.strip() and not line.strip().startswith("#") for line in lines)


def is_installed(file: Path, python: str, environ: Mapping[str, str]) -> bool:
    """Tell if the packages of a list are there, and nothing needs to be done."""
    return is_there(_folder(file, python, environ))


def installed(file: Path, python: str, environ: Mapping[str, str]) -> Path:
    """Return the folder with the packages of a list, for a Python. They are installed now if they are not there.

    Raises `NotInstallable`.
    """
    folder = _folder(file, python, environ)
    if not is_there(folder):
        with made(folder) as unfinished:
            _install(["-r", str(file)], python, unfinished, environ, file.parent)
    return folder


def _folder(file: Path, python: str, environ: Mapping[str, str]) -> Path:
    """Return the folder for the packages of a list. The same list has the same one for the same Python."""
    content = b"\0".join((str(file.parent).encode(), os.path.realpath(python).encode(), file.read_bytes()))
    return user_folder(environ) / "packages" / hashlib.sha256(content).hexdigest()[:16]


def _install(what: list[str], python: str, into: Path, environ: Mapping[str, str], folder: Path | None = None) -> None:
    """Install what installers take as arguments, which may be relative to a folder."""
    with tempfile.TemporaryDirectory(prefix="parley-pip-") as temporary:
        command = [*_installer(python, Path(temporary), environ), "--quiet", "--target", str(into), *what]
        run(command, folder or into, environ)


def _installer(python: str, folder: Path, environ: Mapping[str, str]) -> list[str]:
    """Return the command that installs packages for a Python: uv's, or its own pip's, or that of a new environment."""
    if uv := shutil.which("uv", path=environ.get("PATH")):
        return [uv, "pip", "install", "--python", python]
    try:
        run([python, "-m", "pip", "--version"], folder, environ)
    except NotInstallable:
        run([python, "-m", "venv", str(folder / "environment")], folder, environ)
        python = str(folder / "environment" / "bin" / "python")
    return [python, "-m", "pip", "install", *_PIP]


def run(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
    """Run a command in a folder. Raises `NotInstallable` with the last line that it has printed."""
    try:
        done = subprocess.run(  # noqa: S603 - the developer's own list, and the developer's own Python
            command, cwd=folder, env=dict(environ), capture_output=True, text=True, timeout=_INSTALL_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstallable(str(error)) from None
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise NotInstallable(said[-1].strip() if said else f"exit code {done.returncode}")
