"""Chromium by Playwright, with pages of a running emulator.

`opened` gives a browser context of its own to each person: cookies, storage and network are theirs alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from parley.emulator import pages
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support.browser import NAMES
from tests.support.waiting import HANGS

WIDE = {"width": 1280, "height": 800}
NARROW = {"width": 360, "height": 740}

_WITHOUT = (
    # The suggestions below the address field. Each tab has a page for them, and a process: a third of all work.
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup"),
    # What Playwright switches off itself (its chromiumSwitches.ts). Chromium takes only the last list that it gets.
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades"),
    *("HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding"),
    *("ThirdPartyStoragePartitioning", "AvoidCorsURLLoaderRestartOnRedirect", "OptimizationHints"),
    *("NetworkTimeServiceQuerying", "AimEnabled", "PreconnectToSearch"),
)
_OPTIONS = ("--disable-dev-shm-usage", "--no-proxy-server", f"--disable-features={','.join(_WITHOUT)}")


def missing() -> str | None:
    """Return why no page can be shown here, None if it can."""
    if not pages.are_built():
        return "the pages are not built: `make pages`"
    return None if program() else "there is no Chromium here: install chromium"


def program() -> str | None:
    """Return the path of the system's Chromium."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """Start Chromium."""
    expect.set_options(timeout=HANGS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), chromium_sandbox=False, args=_OPTIONS)
        yield browser
        browser.close()


class Person:
    """A browser context: one person's browser, with any number of tabs.

    `problems` are what its pages have thrown and, without `reads_foreign_text`, what their policy has refused.
    """

    reads_foreign_text = False
    """Chromium reports each handler in a text that DOMPurify parses, although none gets into the page."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.context: BrowserContext = browser.new_context(**{"viewport": WIDE, "locale": "en-US", **options})
        self.context.set_default_timeout(HANGS * 1000)
        self.problems: list[str] = []
        self.context.on("weberror", lambda error: self.problems.append(str(error.error)))
        self.context.on("console", lambda message: self._note(message.type, message.text))

    def tab(self, url: str) -> Page:
        """Open a page in a new tab."""
        page = self.context.new_page()
        page.goto(url)
        return page

    def _note(self, kind: str, text: str) -> None:
        if kind == "error" and "Content Security Policy" in text and not self.reads_foreign_text:
            self.problems.append(text)
