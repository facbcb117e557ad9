"""axe-core in a page: the rules of accessibility that a program can check."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

_SCRIPT = Path(__file__).parents[2] / "clients" / "node_modules" / "axe-core" / "axe.min.js"


def missing() -> str | None:
    """Return why axe cannot run here, None if it can."""
    return None if _SCRIPT.is_file() else "axe-core is not installed: `npm ci` in clients"


def violations(page: Page) -> list[str]:
    """Return each rule that the page breaks, with the elements that break it."""
    # Evaluated by the debugger, so the page's policy does not concern it.
    page.evaluate(_SCRIPT.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(result => result.violations)")
    return [f"{each['id']}: {', '.join(node['html'][:160] for node in each['nodes'][:5])}" for each in found]
