"""Packages with the files of assistants, in a folder or in a zip, found as those of a deployment are."""

from __future__ import annotations

import itertools
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

DEFAULT = "from handlers.chat.assistants import Assistant\nassistant = Assistant()\n"

_numbers = itertools.count(1)


@contextmanager
def assistant_files(folder: Path, files: Mapping[str, str], *, zipped: bool = False) -> Iterator[str]:
    """Write these files into a package of their own, which can be imported inside. Yields the package's name."""
    package = f"assistants_of_a_test_{next(_numbers)}"
    contents = {f"{package}/__init__.py": "", **{f"{package}/{name}": text for name, text in files.items()}}
    place = folder / f"{package}.zip" if zipped else folder
    if zipped:
        with zipfile.ZipFile(place, "w") as archive:
            for name, text in contents.items():
                archive.writestr(name, text)
    else:
        for name, text in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    sys.path.insert(0, str(place))
    try:
        yield package
    finally:
        sys.path.remove(str(place))
        for name in [each for each in sys.modules if each.split(".")[0] == package]:
            del sys.modules[name]
