"""An emulator whose trace comes in pages that a test has written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parley.cli.watching import Page, Watched


class ScriptedPages(Watched):
    """The emulator. `asked` are the numbers after which it was asked, and whether to wait."""

    def __init__(self, pages: list[Page | Exception]) -> None:
        super().__init__(0)
        object.__setattr__(self, "_pages", list(pages))
        object.__setattr__(self, "asked", [])

    _pages: list[Page | Exception]
    asked: list[tuple[int, bool]]

    def page(self, wanted: Mapping[str, str], after: int, wait: int = 0) -> Page:
        self.asked.append((after, wait > 0))
        page: Any = self._pages.pop(0)
        if isinstance(page, Exception):
            raise page
        return page
