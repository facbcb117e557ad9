"""The form of a log line: Lambda reads its level and its time, and takes a line without them for INFO."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from handlers.chat.log import logger


def line(level: int, event: str) -> dict[str, str]:
    record = logging.LogRecord("parley", level, __file__, 1, event, None, None)
    written: dict[str, str] = json.loads(logger.registered_formatter.format(record))
    return written


def test_a_line_has_a_level_and_a_time_of_rfc_3339():
    """Otherwise Lambda drops even errors if its log level is above INFO.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    """
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        written = line(level, "turn_claimed")
        assert written["level"] == logging.getLevelName(level)
        assert "T" in written["timestamp"]
        at = datetime.fromisoformat(written["timestamp"])
        assert abs(at - datetime.now(UTC)) < timedelta(minutes=1)
        # An offset of RFC 3339 has a colon, or is Z.
        assert written["timestamp"][-3] == ":" or written["timestamp"].endswith("Z")


def test_the_name_of_the_event_is_the_message():
    """The metric filter of the alarm ModelFailuresAlarm reads it."""
    assert line(logging.WARNING, "model_failed")["message"] == "model_failed"


def test_libraries_log_only_what_goes_wrong_whatever_level_is_set():
    """Lambda gives `ApplicationLogLevel` to the root logger before it imports the function."""
    script = """
import logging
logging.getLogger().setLevel(logging.DEBUG)
from handlers.chat.log import logger
for name in ("botocore.auth", "botocore.endpoint", "openai._base_client", "httpx", "httpcore.http11", "pynamodb"):
    assert logging.getLogger(name).getEffectiveLevel() == logging.WARNING, name
assert logger.isEnabledFor(logging.DEBUG)
"""
    environment = {"AWS_LAMBDA_LOG_LEVEL": "DEBUG", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
