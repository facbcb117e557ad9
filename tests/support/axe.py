"""axe-core in a page: the rules of accessibility that a program can check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page

_SCRIPT = Path(__file__).parents[2] / "clients" / "node_modules" / "axe-core" / "axe.min.js"


def missing() -> str | None:
    """Return why axe cannot run here, None if it can."""
    return None if _SCRIPT.is_file() else "axe-core is not installed: `npm ci` in clients"


def violations(page: Page, tags: Sequence[str] = ()) -> list[str]:
    """Return each rule that the page breaks, with the elements that break it.

    `tags` select the rules; without them it is those that axe runs by itself.
    """
    # Evaluated by the debugger, so the page's policy does not concern it.
    if not page.evaluate("'axe' in window"):
        page.evaluate(_SCRIPT.read_text())
    options = {"resultTypes": ["violations"], **({"runOnly": list(tags)} if tags else {})}
    found = page.evaluate("async (options) => (await axe.run(document, options)).violations", options)
    return [f"{each['id']}: {', '.join(node['html'][:160] for node in each['nodes'][:5])}" for each in found]
