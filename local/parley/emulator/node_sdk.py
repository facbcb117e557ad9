"""The AWS SDK for functions in JavaScript that do not bring it: on AWS the runtime does, in part.

Lambda developer guide, "Building Lambda functions with Node.js": the runtimes have the SDK v3, and had v2 up to
nodejs16.x.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from parley.dev_tokens import user_folder
from parley.emulator.cache import is_there, made
from parley.emulator.packages import run
from parley.template.model import NODE, Function

_IMPORT = re.compile(r"""(?:\brequire\(|\bfrom|\bimport|\bimport\()\s*["'](@aws-sdk/[a-z0-9-]+|aws-sdk)[/"']""")
_SUFFIXES = (".js", ".mjs", ".cjs")
_MAX_FILES = 300
_V3_SINCE = 18
_NPM = (
    *("--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--silent"),
    *("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"),
)
"""Options of npm: without a network it gives up after seconds."""


def wanted(function: Function) -> set[str]:
    """Return the packages of the SDK that the runtime would bring: the code imports them, and they are not here."""
    has_v3 = _number(function.runtime) >= _V3_SINCE
    roots = [*(layer / NODE for layer in function.layers), function.code, *function.code.absolute().parents]
    found = {name for file in _files(function.code) for name in _IMPORT.findall(_text(file))}
    return {
        name
        for name in found
        if (name != "aws-sdk") == has_v3 and not any((root / "node_modules" / name).is_dir() for root in roots)
    }


def _files(code: Path) -> Iterator[Path]:
    """Return the files of a function's own code."""
    return islice(_own_files(code), _MAX_FILES)


def _own_files(code: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(code):
        # Its packages are not entered: they have more files than all of its own code.
        below[:] = [name for name in below if name != "node_modules"]
        yield from (Path(folder, name) for name in files if name.endswith(_SUFFIXES))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def folder(names: Iterable[str], environ: Mapping[str, str]) -> Path:
    """Return the folder for these packages, whether they are there or not."""
    key = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]
    return user_folder(environ) / "packages" / f"{NODE}-{key}"


def install(names: Iterable[str], node: str, environ: Mapping[str, str]) -> None:
    """Install packages, if they are not there. Raises `NotInstallable`."""
    target = folder(names, environ)
    if not is_there(target):
        with made(target) as unfinished:
            versions = [f"{name}@{3 if name.startswith('@') else 2}" for name in sorted(names)]
            run([*_npm(node, environ), "install", *_NPM, "--prefix", str(unfinished), *versions], unfinished, environ)


def _npm(node: str, environ: Mapping[str, str]) -> list[str]:
    """Return the command that runs npm: the one on PATH, else the one that came with a Node of PyPI's."""
    if npm := shutil.which("npm", path=environ.get("PATH")):
        return [npm]
    return [node, str(Path(node).parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _number(runtime: str) -> int:
    number = runtime.removeprefix(NODE).partition(".")[0]
    return int(number) if number.isdecimal() else 0
