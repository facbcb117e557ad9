"""The examples of the documentation, as files."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+) title=\"([^\"]+)\"\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: str) -> dict[str, tuple[str, str]]:
    """Return the language and the text of each block of code with a title, by the title: the name of a file."""
    return {name: (language, text) for language, name, text in _BLOCK.findall((ROOT / document).read_text())}


def write_blocks(document: str, language: str, folder: Path) -> list[str]:
    """Write the blocks of a language into a folder. Return their names."""
    found = {name: text for name, (kind, text) in blocks(document).items() if kind == language}
    for name, text in found.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return list(found)
