"""The log: JSON lines with the name of an event, ids and numbers, never a token, a key or the text of a message."""

from __future__ import annotations

import logging
import os

from aws_lambda_powertools import Logger

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def _level() -> str | None:
    """Return the level that replaces one that does not exist, so that the function starts. None for any other."""
    return None if os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO").upper() in LEVELS else "INFO"


# Lambda reads the time of a line only in this form, and filters by level only lines whose time it can read.
logger = Logger(level=_level(), use_rfc3339=True)

# Lambda gives the template's level to the root logger, and so to every library. At DEBUG, botocore logs signatures,
# session tokens and the texts of messages; at INFO, libraries log what no operator needs.
logging.getLogger().setLevel(logging.WARNING)
