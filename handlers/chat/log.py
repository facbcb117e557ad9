"""The log: JSON lines with the name of an event, ids and numbers, never a token, a key or the text of a message."""

from __future__ import annotations

from aws_lambda_powertools import Logger

logger = Logger()
