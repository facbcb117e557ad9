"""Names of log events: stable, in snake_case, and all of them in docs/log-events.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def logged(source: str) -> Iterator[str]:
    """Yield the first argument of each call of the logger, as it stands in the source."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="logger"), attr=level), args=[first, *_]):
                if level in LEVELS:
                    yield ast.unparse(first)


def events() -> set[str]:
    sources = sorted((ROOT / "handlers").rglob("*.py"))
    return {event.strip("'") for source in sources for event in logged(source.read_text())}


def documented() -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "log-events.md").read_text(), re.MULTILINE)


def test_an_event_is_found_in_a_call_of_the_logger():
    assert list(logged("logger.info('turn_sealed', length=1)\nlogger.append_keys(a=1)")) == ["'turn_sealed'"]
    assert list(logged("logger.warning(f'post {reason}')")) == ["f'post {reason}'"]


def test_events_are_names_and_not_sentences():
    assert [event for event in events() if not re.fullmatch(r"[a-z]+(_[a-z]+)*", event)] == []


def test_the_documentation_lists_each_event_once():
    assert sorted(documented()) == sorted(events())
