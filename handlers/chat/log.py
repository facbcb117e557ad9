"""The log: JSON lines with the name of an event, ids and numbers, never a token, a key or the text of a message."""

from __future__ import annotations

from aws_lambda_powertools import Logger

# Lambda reads the time of a line only in this form, and filters by level only lines whose time it can read.
logger = Logger(use_rfc3339=True)
