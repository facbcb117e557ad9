"""Check of the wheel's build: a wheel without the pages is not built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PAGES = ("chat/index.html", "console/index.html")


class PagesHook(BuildHookInterface):  # type: ignore[misc]  # hatchling is there in a build only
    """The check, as hatchling calls it before each build. An editable installation reads the folder itself."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raise an error if the pages are missing."""
        folder = Path(self.root) / "local" / "parley" / "pages"
        missing = [name for name in _PAGES if not (folder / name).is_file()]
        if version != "editable" and missing:
            raise RuntimeError("The wheel carries the pages, and they are not built. Run `make pages` first.")
