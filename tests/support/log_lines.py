"""The lines that the functions' log writes, as its readers see them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from handlers.chat.log import logger


class _Lines(logging.Handler):
    """Keeps each line. It is made in the thread that logs, because it has the keys of that thread."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(logger.registered_formatter.format(record)))


@contextmanager
def log_lines(level: int = logging.INFO) -> Iterator[list[dict[str, Any]]]:
    """Keep the lines that are logged inside, at this level."""
    kept, before = _Lines(), logger.log_level
    logger.addHandler(kept)
    logger.setLevel(level)
    try:
        yield kept.lines
    finally:
        logger.setLevel(before)
        logger.removeHandler(kept)
