"""The tables of docs/emulator/differences.md: each fact, how it is reproduced, and the tests that hold it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from tests.emulator.facts import FACTS, SECTIONS, Fact, Key

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "emulator" / "differences.md"
BEGIN = "<!-- facts -->"
END = "<!-- /facts -->"
MARK = "pytest.mark.fact("


@dataclass(frozen=True, slots=True)
class Holding:
    """A test that holds a fact, and whom it believes."""

    key: Key
    source: str
    file: Path
    name: str


def holdings(folder: Path = Path(__file__).parent) -> Iterator[Holding]:
    """Return what the tests of a folder say that they hold, in their order."""
    for file in sorted(folder.glob("test_*.py")):
        if MARK in file.read_text():
            module = import_module(f"tests.emulator.{file.stem}")
            yield from _of(file, "", module, _marks(module))


def _of(file: Path, prefix: str, owner: object, outer: list[pytest.Mark]) -> Iterator[Holding]:
    for name, member in vars(owner).items():
        if isinstance(member, type) and name.startswith("Test"):
            yield from _of(file, f"{name}::", member, outer + _marks(member))
        elif callable(member) and name.startswith("test_"):
            for mark in outer + _marks(member):
                yield from (Holding(key, mark.kwargs["source"], file, prefix + name) for key in mark.args)


def _marks(of: object) -> list[pytest.Mark]:
    marks = getattr(of, "pytestmark", [])
    return [each.mark if isinstance(each, pytest.MarkDecorator) else each for each in marks if each.name == "fact"]


def tables() -> str:
    """Return the tables in Markdown, one for each section."""
    held: dict[Key, list[Holding]] = defaultdict(list)
    for each in holdings():
        held[each.key].append(each)
    parts = []
    for section, title in SECTIONS.items():
        rows = [_row(fact, held[fact.key]) for fact in FACTS.values() if fact.section == section]
        head = ["| # | behaviour | reproduced | source | tests |", "|---|---|---|---|---|"]
        parts.append("\n".join([f"### {title}", "", *head, *rows]))
    return "\n\n".join(parts)


def _row(fact: Fact, held: list[Holding]) -> str:
    number = str(fact.key) if isinstance(fact.key, int) else ""
    tests = "<br>".join(_link(each) for each in held) or "–"
    return f"| {number} | {fact.text} | {_reproduced(fact)} | {'; '.join(fact.sources)} | {tests} |"


def _reproduced(fact: Fact) -> str:
    if fact.sure:
        return fact.fidelity
    return f"unsure: `--assume {fact.switch}=…`" if fact.switch else "unsure"


def _link(each: Holding) -> str:
    return f"[{each.name.rpartition('::')[2]}](../../{each.file.relative_to(ROOT)})"


def document() -> str:
    """Return docs/emulator/differences.md as it is to be."""
    text = DOCUMENT.read_text()
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    return f"{before}{BEGIN}\n\n{tables()}\n\n{after}"


def write() -> None:
    """Bring docs/emulator/differences.md up to date."""
    DOCUMENT.write_text(document())
