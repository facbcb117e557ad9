"""The chat page in Chromium: its first paint, and what keeps its main thread busy while a reply comes."""

from __future__ import annotations

import os
from typing import Any

from rich.table import Table

from tests.support import page
from tests.support.chat_page import ChatPage
from tests.support.devices import Emulator

RUNS = 5
TOKENS = 1000
PACE = 100
"""Tokens in a second."""
GOALS = {"first paint, ms": 1000, "longest task, ms": 50}

_WATCH = """
() => {
  window.tasks = [0];
  new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map(({duration}) => duration)))
    .observe({type: "longtask"});
}
"""


def table() -> Table:
    """Open the page some times, let it show a long reply, and return the worst figures as a table."""
    emulator = Emulator(PARLEY_TOKENS_PER_SECOND=str(PACE), MAX_COMPLETION_TOKENS=str(TOKENS))
    with page.browser() as browser:
        paints = [_first_paint(browser, emulator.url) for _ in range(RUNS)]
        longest = _longest_task(browser, emulator.url)
    emulator.stop()
    result = Table("", "measured", "goal", title=f"The chat page, with {os.cpu_count()} cores")
    measured = {"first paint, ms": max(paints), "longest task, ms": longest}
    for name, value in measured.items():
        result.add_row(name, f"{value:.0f}", f"≤ {GOALS[name]}: {'ok' if value <= GOALS[name] else 'missed'}")
    return result


def _first_paint(browser: Any, url: str) -> float:
    """Return the time of the first text on the page, in a browser that has nothing of it."""
    person = page.Person(browser)
    tab = person.tab(url)
    ChatPage(tab).field.wait_for()
    paints = "performance.getEntriesByName('first-contentful-paint').map(({startTime}) => startTime)[0]"
    paint: float = tab.evaluate(paints)
    person.context.close()
    return paint


def _longest_task(browser: Any, url: str) -> float:
    """Return the longest task while a reply comes, 0 if none took 50 ms."""
    person = page.Person(browser)
    chat = ChatPage(person.tab(url))
    chat.ask("first")
    chat.page.evaluate(_WATCH)
    chat.ask(f"/long {TOKENS}")
    longest: float = chat.page.evaluate("Math.max(...window.tasks)")
    person.context.close()
    return longest
