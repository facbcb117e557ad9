"""Code of functions as folders: zips unpacked, and the layers of a function put together as AWS does in /opt."""

from __future__ import annotations

import hashlib
import stat
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile
from pathlib import Path

from parley.dev_tokens import secret, user_folder
from parley.emulator.cache import is_there, made
from parley.emulator.interpreters import with_interpreters
from parley.emulator.options import TemplateOptions
from parley.template.functions import temporary_folder
from parley.template.model import Function, Template
from parley.template.reader import read
from parley.template.source import TemplateError

MAX_UNPACKED_BYTES = 250 * 1024 * 1024
"""The size of unpacked code on Lambda: developer guide, "Lambda quotas", deployment package."""


def read_template(options: TemplateOptions, overrides: Mapping[str, str]) -> Template:
    """Read the template that the options name, with the interpreters of its functions. Their code is in folders then.

    Raises `TemplateError` and `StartError`.
    """
    template = read(options.path, options.parameters, imports=options.imports, seed=partial(secret, overrides))
    cache = user_folder(overrides) / "code"
    functions = {name: _in_folders(each, cache) for name, each in template.functions.items()}
    return with_interpreters(replace(template, functions=functions), options.path, options.python, overrides)


def _in_folders(function: Function, cache: Path) -> Function:
    layers = [_folder(layer, cache) for layer in function.layers]
    return replace(
        function,
        code=_folder(function.code, cache),
        layers=(merged(layers),) if layers else (),
        sources=(function.code, *function.layers),
    )


def _folder(code: Path, cache: Path) -> Path:
    """Return a folder as it is, and for a zip the folder with its content. The same content has the same folder."""
    if code.is_dir():
        return code
    folder = cache / hashlib.sha256(code.read_bytes()).hexdigest()[:32]
    if not is_there(folder):
        _unpack(code, folder)
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with made(folder) as unpacked, zipfile.ZipFile(archive) as opened:
            _extract(opened, unpacked)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise TemplateError(f"Cannot unpack {archive}: {error}. Make it again.") from None


def _extract(archive: zipfile.ZipFile, into: Path) -> None:
    """Extract an archive with its permissions and symbolic links. No member comes to lie outside of the folder."""
    size = sum(member.file_size for member in archive.infolist())
    if size > MAX_UNPACKED_BYTES:
        raise ValueError(f"it has {size} bytes unpacked, and Lambda takes {MAX_UNPACKED_BYTES}")
    links = []
    for member in archive.infolist():
        mode = member.external_attr >> 16
        if stat.S_ISLNK(mode):
            links.append(member)
            continue
        path = Path(archive.extract(member, into))
        if path.is_file() and mode:
            path.chmod(0o600 | stat.S_IMODE(mode) & 0o777)
    # Links come last: no file is written through one.
    for member in links:
        path, target = into / member.filename, archive.read(member).decode()
        if (path.parent / target).resolve().is_relative_to(into.resolve()) and path.parent.resolve().is_relative_to(
            into.resolve()
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)


def merged(layers: Sequence[Path]) -> Path:
    """Return a folder with the content of all of these, as layers in /opt on AWS. A later one's file replaces another.

    The folder has links, so that a change in a layer's own folder counts.
    """
    if len(layers) == 1:
        return layers[0]
    folder = Path(tempfile.mkdtemp(prefix="opt-", dir=temporary_folder()))
    _link(layers, folder)
    return folder


def _link(folders: Sequence[Path], into: Path) -> None:
    entries: dict[str, list[Path]] = {}
    for folder in folders:
        for entry in folder.iterdir():
            entries.setdefault(entry.name, []).append(entry)
    for name, found in entries.items():
        same = list(takewhile(Path.is_dir, reversed(found)))[::-1]
        if len(same) > 1:
            (into / name).mkdir()
            _link(same, into / name)
        else:
            (into / name).symlink_to(found[-1])
