"""Projects of others, as their tools leave them: copies of templates, and code in zips."""

from __future__ import annotations

import zipfile
from pathlib import Path

TEMPLATES = Path(__file__).parents[1] / "emulator" / "templates"


def zipped(file: Path, *folders: Path) -> None:
    """Write a zip of all that folders hold. The same content makes the same zip."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        for folder in folders:
            for path in sorted(each for each in folder.rglob("*") if each.is_file()):
                entry = zipfile.ZipInfo(str(path.relative_to(folder)))
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, path.read_bytes())
