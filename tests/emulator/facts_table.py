"""The tables of docs/emulator.md: each fact, how it is reproduced, and the tests that hold it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.emulator.facts import FACTS, SECTIONS, Fact, Key

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "emulator.md"
BEGIN = "<!-- facts: made by `python -m tests.emulator.facts` -->"
END = "<!-- /facts -->"


@dataclass(frozen=True, slots=True)
class Holding:
    """A test that holds a fact, and whom it believes."""

    key: Key
    source: str
    file: Path
    name: str


def holdings(folder: Path = Path(__file__).parent) -> Iterator[Holding]:
    """Return what the tests say that they hold, as their source code has it."""
    for file in sorted(folder.glob("test_*.py")):
        yield from _in(file, ast.parse(file.read_text()).body, "", [])


def _in(file: Path, body: list[ast.stmt], prefix: str, outer: list[tuple[Key, str]]) -> Iterator[Holding]:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            marks = outer + [mark for decorator in node.decorator_list for mark in _marks(decorator)]
            if isinstance(node, ast.ClassDef):
                yield from _in(file, node.body, f"{node.name}::", marks)
            elif node.name.startswith("test_"):
                yield from (Holding(key, source, file, prefix + node.name) for key, source in marks)


def _marks(decorator: ast.expr) -> Iterator[tuple[Key, str]]:
    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fact":
        [source] = [ast.literal_eval(each.value) for each in decorator.keywords if each.arg == "source"]
        yield from ((ast.literal_eval(key), source) for key in decorator.args)


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
    return f"[{each.name.rpartition('::')[2]}](../{each.file.relative_to(ROOT)})"


def document() -> str:
    """Return docs/emulator.md as it is to be."""
    text = DOCUMENT.read_text()
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    return f"{before}{BEGIN}\n\n{tables()}\n\n{after}"


def write() -> None:
    """Bring docs/emulator.md up to date."""
    DOCUMENT.write_text(document())
