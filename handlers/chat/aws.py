"""The one AWS session of a process: every further session would read botocore's service files again.

Endpoints come from botocore's own variables (`AWS_ENDPOINT_URL_DYNAMODB`, …): nothing here names one.
"""

from __future__ import annotations

import boto3
import botocore.session
from botocore.config import Config

BOTOCORE_SESSION = botocore.session.get_session()
SESSION = boto3.session.Session(botocore_session=BOTOCORE_SESSION)

CONNECT_TIMEOUT = 2
READ_TIMEOUT = 5
"""Seconds. botocore's own 60 would outlive the 29 s that a frame has."""

RETRIES = 3
CONFIG = Config(
    connect_timeout=CONNECT_TIMEOUT,
    read_timeout=READ_TIMEOUT,
    retries={"mode": "standard", "total_max_attempts": 1 + RETRIES},
    # As many devices as see one chat, each with a sender of its own.
    max_pool_connections=50,
)
